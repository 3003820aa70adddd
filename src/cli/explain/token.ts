import { readFileSync } from 'node:fs';
import { CodedError } from '../../kit/coded-error.ts';
import { isObject } from '../../kit/json.ts';
import { readOrNotFound } from '../../kit/read-or-not-found.ts';

/** What a file of `--jwt` holds: a token as clients send it, or claims as JSON, which stand for a token that passes. */
export type TokenFile = { readonly token: string } | { readonly claims: Readonly<Record<string, unknown>> };

export function readTokenFile(path: string): TokenFile {
  const text = readOrNotFound(path, () => readFileSync(path === '-' ? 0 : path, 'utf8').trim());
  if (/^[\w-]+\.[\w-]+\.[\w-]*$/.test(text)) return { token: text };
  try {
    const claims = JSON.parse(text) as unknown;
    if (isObject(claims)) return { claims };
  } catch {
    // Told below: it is neither.
  }
  throw new CodedError(
    'ObjectInvalid',
    `${path} holds neither a token (three parts with dots between) nor its claims as a JSON object`,
  );
}
