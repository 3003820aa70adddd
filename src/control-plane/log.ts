import { destination, type Logger, pino } from 'pino';

export type { Logger } from 'pino';

/** JSON lines on standard error. Keys, tokens and credentials never get here; what might hold one is redacted all the same. */
export function createLog(level: string): Logger {
  return pino(
    {
      level,
      base: { program: 'control-plane' },
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: {
        paths: ['token', 'key', 'authorization', '*.token', '*.key', '*.authorization'],
        censor: '[redacted]',
      },
    },
    destination({ fd: 2, sync: true }),
  );
}
