import { CodedError, messageOf } from '../kit/coded-error.ts';
import { createLog } from './log.ts';
import { type ControlPlaneOptions, controlPlaneHelp, parseControlPlaneOptions } from './options.ts';
import { startControlPlane } from './start-control-plane.ts';

/** Exit codes: 0 ended by a signal or help, 1 could not start, 2 wrong usage. */
async function main(): Promise<void> {
  let options: ControlPlaneOptions | undefined;
  try {
    options = parseControlPlaneOptions(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`ostria control-plane: ${messageOf(error)}\n\nRun with --help for the options.\n`);
    process.exitCode = 2;
    return;
  }
  if (!options) {
    process.stdout.write(controlPlaneHelp);
    return;
  }
  const log = createLog(options.logLevel);
  // A directory that is broken at the start is waited for; its watch alone would not keep the process.
  const waiting = setInterval(() => undefined, 60_000);
  try {
    const controlPlane = await startControlPlane(options, log);
    clearInterval(waiting);
    log.info({ ports: Object.fromEntries(controlPlane.ports) }, 'the control plane serves');
    const end = (signal: NodeJS.Signals): void => {
      log.info(`ending on ${signal}`);
      controlPlane.stop().then(
        () => process.exit(0),
        (error) => {
          log.error({ err: error }, 'the control plane did not end cleanly');
          process.exit(1);
        },
      );
    };
    process.once('SIGTERM', end);
    process.once('SIGINT', end);
  } catch (error) {
    const code = error instanceof CodedError ? error.code : undefined;
    log.fatal(
      { ...(code ? { code } : { err: error }) },
      `the control plane could not start: ${messageOf(error)}`,
    );
    process.exitCode = 1;
    // Timers of parts that did start must not keep a failed process alive.
    process.exit();
  }
}

await main();
