import { CommanderError } from 'commander';
import { CodedError } from '../kit/coded-error.ts';
import { systemReason } from '../kit/system-reason.ts';
import { createProgram } from './create-program.ts';
import { exitCodeOf, exitCodes } from './exit-codes.ts';
import { err } from './output/style.ts';

/** Prints what went wrong: of mistakes and refusals the message alone, of our own failures where they came from too. */
function report(error: unknown): void {
  if (error instanceof CommanderError) {
    // Help and version were asked for; everything else has been printed by commander.
    process.exitCode = error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
    return;
  }
  process.exitCode = exitCodeOf(error);
  process.stderr.write(`${err.red('error')}: ${wordsFor(error)}\n`);
}

function wordsFor(error: unknown): string {
  if (error instanceof CodedError) return error.message;
  const reason = systemReason(error);
  const { path, code } = error as NodeJS.ErrnoException;
  // A full or broken disk is told without a path where the file was open.
  if (
    reason !== undefined &&
    (path !== undefined || ['ENOSPC', 'EDQUOT', 'EROFS', 'EIO'].includes(code ?? ''))
  )
    return `${path === undefined ? '' : `${path}: `}${reason}`;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

// Output into `head` or a pager that was closed is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(exitCodes.ok);
  throw error;
});

try {
  await createProgram().parseAsync(process.argv);
} catch (error) {
  report(error);
}
