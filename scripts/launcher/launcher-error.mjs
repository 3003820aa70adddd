// @ts-check

/** A failure that the user can mend: printed as two plain lines, without a stack. */
export class LauncherError extends Error {
  /** @param {string} message what went wrong @param {string} mend what to do about it */
  constructor(message, mend) {
    super(message);
    this.name = 'LauncherError';
    this.mend = mend;
  }
}

/** Prints what went wrong and ends the process. @param {unknown} error @returns {never} */
export function exitWith(error) {
  if (error instanceof LauncherError)
    process.stderr.write(`error: ${error.message}\n  to mend it: ${error.mend}\n`);
  else
    process.stderr.write(
      `error: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    );
  process.exit(1);
}
