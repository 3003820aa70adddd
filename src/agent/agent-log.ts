import type { LogLevel } from './agent-config.ts';

export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

/** One line per event: time, level, message, `key=value`. A logging library would cost a fifth of the agent's memory budget. */
export interface AgentLog {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

const ORDER: readonly LogLevel[] = ['debug', 'info', 'warn', 'error'];

export function createAgentLog(
  level: LogLevel,
  write: (line: string) => void = (line) => process.stderr.write(line),
): AgentLog {
  const at =
    (own: LogLevel) =>
    (message: string, fields: LogFields = {}) => {
      if (ORDER.indexOf(own) < ORDER.indexOf(level)) return;
      const pairs = Object.entries(fields)
        .filter(([, value]) => value !== undefined)
        .map(([key, value]) => ` ${key}=${typeof value === 'string' ? quote(value) : value}`);
      write(`${new Date().toISOString()} ${own.padEnd(5)} ${oneLine(message)}${pairs.join('')}\n`);
    };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

function quote(value: string): string {
  return /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value);
}

function oneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, ' | ');
}
