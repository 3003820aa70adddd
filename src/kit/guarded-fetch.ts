import { lookup } from 'node:dns/promises';
import type { IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import { readBounded } from './bounded-body.ts';
import { CodedError } from './coded-error.ts';
import { parseCidr, parseIp } from './ip.ts';
import { http } from './node-http.ts';

export interface GuardedFetchOptions {
  /** Ranges that may be reached although they are not public, as `address/length`. Default none. */
  readonly allowed?: readonly string[];
  /** Longest body taken, in bytes. Default 1 MiB. */
  readonly maxBytes?: number;
  /** From the first name look-up to the last byte, in ms. Default 5,000. */
  readonly timeoutMs?: number;
  /** Redirects followed; each goes through the same checks. Default 3. */
  readonly maxRedirects?: number;
  readonly signal?: AbortSignal;
}

/** Ranges that no outsider's URL may lead to: this machine, its networks, and what is no address of a host. */
const notPublic = [
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12'],
  ...['192.0.0.0/24', '192.168.0.0/16', '198.18.0.0/15', '224.0.0.0/4', '240.0.0.0/4'],
  ...['::/128', '::1/128', '64:ff9b::/96', '100::/64', 'fc00::/7', 'fe80::/10', 'ff00::/8', '2002::/16'],
];
const blocked = blockListOf(notPublic);

/** Whether ranges written by a user can be used as `allowed`; the first that cannot. */
export function badRange(ranges: readonly string[]): string | undefined {
  return ranges.find((range) => parseCidr(range) === undefined);
}

/**
 * GETs a URL that came from configuration. Addresses that are not public are refused unless allowed, also where a name resolves to
 * them or a redirect leads there: the connection is made to the address that was checked. Throws a CodedError: `FetchRefused` (the
 * rules forbid it), `FetchFailed` (anything else).
 */
export async function guardedFetch(url: string, options: GuardedFetchOptions = {}): Promise<Uint8Array> {
  const { timeoutMs = 5_000, maxRedirects = 3 } = options;
  const timeout = AbortSignal.timeout(timeoutMs);
  const signal = options.signal ? AbortSignal.any([options.signal, timeout]) : timeout;
  let target = parseUrl(url);
  for (let redirects = 0; ; redirects++) {
    const response = await get(target, options, signal).catch((error: unknown) => {
      if (error instanceof CodedError) throw error;
      throw failed(
        timeout.aborted ? `${target.host} did not answer in ${timeoutMs / 1000} s` : reasonOf(error),
        error,
      );
    });
    const status = response.statusCode ?? 0;
    const { location } = response.headers;
    if (status >= 300 && status < 400 && location !== undefined) {
      response.destroy();
      if (redirects >= maxRedirects) throw failed(`more than ${maxRedirects} redirects`);
      target = parseUrl(new URL(location, target).href);
      continue;
    }
    if (status !== 200) {
      response.destroy();
      throw failed(`${target.host} answered ${status}`);
    }
    return readBounded(response, options.maxBytes ?? 1024 * 1024, failed).catch((error: unknown) => {
      if (error instanceof CodedError) throw error;
      throw failed(reasonOf(error), error);
    });
  }
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== 'https:' && url?.protocol !== 'http:')
    throw refused(`${text.slice(0, 200)} is no URL that begins with https:// or http://`);
  return url;
}

function get(url: URL, options: GuardedFetchOptions, signal: AbortSignal): Promise<IncomingMessage> {
  const allowed = blockListOf(options.allowed ?? []);
  const literal = url.hostname.replace(/^\[|\]$/g, '');
  if (isIP(literal)) checkAddress(literal, url.hostname, allowed);
  const send = url.protocol === 'https:' ? httpsRequest : http.request;
  return new Promise((resolve, reject) => {
    const request = send(url, {
      signal,
      lookup: checkedLookup(allowed),
      agent: false,
      headers: { accept: 'application/json', 'user-agent': 'ostria' },
    });
    request.on('response', resolve);
    request.on('error', reject);
    request.end();
  });
}

function checkedLookup(allowed: BlockList): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { all: true, family: Number(options.family) || 0 }).then(
      (addresses) => {
        try {
          for (const { address } of addresses) checkAddress(address, hostname, allowed);
        } catch (error) {
          callback(error as Error, '', 0);
          return;
        }
        const [first] = addresses;
        if (options.all) callback(null, addresses);
        else callback(null, first?.address ?? '', first?.family ?? 4);
      },
      (error: NodeJS.ErrnoException) => callback(error, '', 0),
    );
  };
}

/** One address that is not allowed refuses the name as a whole: which one would be used is chance. */
function checkAddress(address: string, host: string, allowed: BlockList): void {
  const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
  if (!blocked.check(address, family) || allowed.check(address, family)) return;
  const named = host.replace(/^\[|\]$/g, '') === address ? address : `${host} (${address})`;
  throw refused(`${named} is no public address; allow its range if this is meant`);
}

/** Ranges that cannot be read are left out: `badRange` tells about them. */
function blockListOf(ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [address = '', length = ''] = range.split('/');
    const ip = parseIp(address);
    if (ip && parseCidr(range)) list.addSubnet(address, Number(length), ip.version === 6 ? 'ipv6' : 'ipv4');
  }
  return list;
}

function refused(message: string): CodedError {
  return new CodedError('FetchRefused', message);
}

function failed(message: string, cause?: unknown): CodedError {
  return new CodedError('FetchFailed', message, cause === undefined ? {} : { cause });
}

function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return message || code || String(error);
}
