import type { Call } from './call.ts';

/** The headers of a call as matchers see them, pseudo headers included. */
export function callHeaders(call: Call): Record<string, string | undefined> {
  return {
    ...call.headers,
    ':method': call.method ?? 'GET',
    ':authority': call.host ?? '',
    host: call.host ?? '',
    ':path': call.path ?? '/',
    ':scheme': call.tls === 'plaintext' ? 'http' : 'https',
  };
}

/** The path without query and fragment. */
export function pathOf(target: string): string {
  const end = target.search(/[?#]/);
  return end < 0 ? target : target.slice(0, end);
}
