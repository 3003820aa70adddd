import type { FieldPath } from '../../field-path.ts';
import { quote, type Report } from '../../report.ts';
import { each, eachEntry } from './common.ts';

const NAME = /^:?[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const PLAIN_NAME = /^[-_A-Za-z0-9]+$/;

/** A header that is read: any HTTP token, or a pseudo header. */
export function checkHeaderName(report: Report, path: FieldPath, name: string | undefined): void {
  if (name === undefined || name === '') report.invalid(path, 'a header name must not be empty');
  else if (!NAME.test(name)) report.invalid(path, `${quote(name)} is not a header name`);
}

/** A header that is written from outside: letters, digits, - and _ only. */
export function checkPlainHeaderName(report: Report, path: FieldPath, name: string): void {
  if (!PLAIN_NAME.test(name))
    report.invalid(path, `${quote(name)} is not a header name: use letters, digits, - and _`);
}

export function isAuthority(name: string): boolean {
  return [':authority', 'host'].includes(name.toLowerCase());
}

function checkOperationName(report: Report, path: FieldPath, name: string, authority: boolean): void {
  checkHeaderName(report, path, name);
  if (isAuthority(name) && authority) return;
  if (name.startsWith(':') || name.toLowerCase() === 'host')
    report.error(
      path,
      'FieldValueForbidden',
      `${quote(name)} cannot be changed here; use rewrite.authority for the host`,
    );
}

/**
 * A header value in Envoy's format: `%COMMAND%` or `%COMMAND(arguments)%`, with `%%` for a percent sign. See "Custom
 * request/response headers" in Envoy's documentation.
 */
export function headerValueProblem(value: string): string | undefined {
  for (let i = value.indexOf('%'); i >= 0; i = value.indexOf('%', i)) {
    if (value[i + 1] === '%') {
      i += 2;
      continue;
    }
    const end = commandEnd(value, i + 1);
    if (end === undefined)
      return `${quote(value)} has a % that begins no %COMMAND%; write %% for a percent sign`;
    i = end;
  }
  return undefined;
}

/** The position after the command that begins at `start`. Its arguments in parentheses may hold percent signs. */
function commandEnd(value: string, start: number): number | undefined {
  const command = /^[A-Z][A-Z0-9_]*/.exec(value.slice(start));
  if (!command) return undefined;
  let i = start + command[0].length;
  if (value[i] === '(') {
    const close = value.indexOf(')', i);
    if (close < 0) return undefined;
    i = close + 1;
    const length = /^:\d+/.exec(value.slice(i));
    if (length) i += length[0].length;
  }
  return value[i] === '%' ? i + 1 : undefined;
}

export interface HeaderOperations {
  add?: Record<string, string>;
  set?: Record<string, string>;
  remove?: string[];
}

/** `headers` of a route or destination; the host may be set in requests of whole routes. */
export function checkHeaderOperations(
  report: Report,
  path: FieldPath,
  headers: { request?: HeaderOperations; response?: HeaderOperations } | undefined,
): void {
  for (const side of ['request', 'response'] as const) {
    const operations = headers?.[side];
    const place = path.field(side);
    for (const kind of ['add', 'set'] as const) {
      eachEntry(operations?.[kind], place.field(kind), (name, value, at) => {
        checkOperationName(report, at, name, side === 'request');
        const problem = headerValueProblem(value);
        if (problem !== undefined) report.invalid(at, problem);
      });
    }
    each(operations?.remove, place.field('remove'), (name, at) =>
      checkOperationName(report, at, name, false),
    );
  }
}
