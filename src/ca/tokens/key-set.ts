import { readFile } from 'node:fs/promises';
import { createLocalJWKSet, type JSONWebKeySet, type JWK } from 'jose';
import { type Clock, systemClock } from '../../kit/clock.ts';
import { CodedError, messageOf } from '../../kit/coded-error.ts';
import { requestJson } from '../../kit/json-request.ts';
import { backoffDelay } from '../../kit/retry.ts';
import type { TokenIssuer } from '../settings/identity-settings.ts';

export type KeyResolver = ReturnType<typeof createLocalJWKSet>;

export interface KeySetOptions {
  /** Age at which keys are fetched anew, in ms. Default 10 minutes. */
  readonly refreshMs?: number;
  /** Shortest time between two fetches for a key that is not known, in ms. Default 30 s. */
  readonly unknownKeyMs?: number;
  /** Keys that were fetched once serve so long while the issuer does not answer, in ms. Default 24 h. */
  readonly keepMs?: number;
  readonly clock?: Clock;
  /** Told once per spell of failures. */
  readonly warn?: (message: string) => void;
}

const maxKeys = 100;

/** The public keys of one issuer, fetched when they are needed and kept for a while. */
export class KeySet {
  readonly #issuer: Pick<TokenIssuer, 'issuer' | 'keysUrl' | 'keysFile' | 'caFile'>;
  readonly #options: KeySetOptions;
  readonly #clock: Clock;
  #held: { readonly keys: KeyResolver; readonly at: number } | undefined;
  #fetching: Promise<void> | undefined;
  #failures = 0;
  #nextTry = 0;
  #problem = 'not fetched yet';

  constructor(
    issuer: Pick<TokenIssuer, 'issuer' | 'keysUrl' | 'keysFile' | 'caFile'>,
    options: KeySetOptions = {},
  ) {
    this.#issuer = issuer;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /** The keys at hand. Throws `KeysMissing` while there are none. */
  async keys(): Promise<KeyResolver> {
    const { refreshMs = 10 * 60_000, keepMs = 24 * 3_600_000 } = this.#options;
    const age = this.#held ? this.#clock.now() - this.#held.at : Number.POSITIVE_INFINITY;
    // Stale keys still serve: who asks does not wait for the issuer.
    if (age > refreshMs) {
      const fetched = this.#fetch();
      if (age > keepMs) await fetched;
    }
    if (this.#held && this.#clock.now() - this.#held.at <= keepMs) return this.#held.keys;
    throw new CodedError(
      'KeysMissing',
      `the keys of ${this.#issuer.issuer} are not at hand: ${this.#problem}`,
    );
  }

  /** A token names a key that is not there: the issuer may have a new one. False: not now. */
  async refetch(): Promise<boolean> {
    const { unknownKeyMs = 30_000 } = this.#options;
    if (this.#held && this.#clock.now() - this.#held.at < unknownKeyMs) return false;
    const before = this.#held;
    await this.#fetch();
    return this.#held !== before;
  }

  #fetch(): Promise<void> {
    if (this.#clock.now() < this.#nextTry) return Promise.resolve();
    this.#fetching ??= this.#load().finally(() => {
      this.#fetching = undefined;
    });
    return this.#fetching;
  }

  async #load(): Promise<void> {
    try {
      const keys = createLocalJWKSet(await fetchKeySet(this.#issuer));
      this.#held = { keys, at: this.#clock.now() };
      this.#failures = 0;
    } catch (error) {
      this.#problem = messageOf(error);
      if (this.#failures === 0)
        this.#options.warn?.(`keys of tokens of ${this.#issuer.issuer}: ${this.#problem}`);
      // A stranger's tokens must not become a stranger's load on the issuer.
      this.#nextTry = this.#clock.now() + backoffDelay(this.#failures++, { initialMs: 1_000, maxMs: 60_000 });
    }
  }
}

async function fetchKeySet({
  issuer,
  keysUrl,
  keysFile,
  caFile,
}: Pick<TokenIssuer, 'issuer' | 'keysUrl' | 'keysFile' | 'caFile'>): Promise<JSONWebKeySet> {
  if (keysFile !== undefined) return publicKeys(JSON.parse(await readFile(keysFile, 'utf8')), keysFile);
  const access = caFile === undefined ? {} : { ca: await readFile(caFile, 'utf8') };
  const get = async (url: string): Promise<unknown> => {
    const { status, json } = await requestJson({ method: 'GET', url, access, timeoutMs: 5_000 });
    if (status !== 200) throw new CodedError('KeysUseless', `${url} answers ${status}`);
    return json;
  };
  if (keysUrl !== undefined) return publicKeys(await get(keysUrl), keysUrl);
  const url = `${issuer.replace(/\/+$/, '')}/.well-known/openid-configuration`;
  const document = (await get(url)) as { issuer?: unknown; jwks_uri?: unknown } | null;
  if (document?.issuer !== issuer)
    throw new CodedError(
      'KeysUseless',
      `${url} speaks for ${JSON.stringify(document?.issuer)}, not for ${issuer}`,
    );
  if (typeof document.jwks_uri !== 'string') throw new CodedError('KeysUseless', `${url} names no jwks_uri`);
  return publicKeys(await get(document.jwks_uri), document.jwks_uri);
}

/** Whoever can read a shared secret could sign with it: those keys are left out. */
function publicKeys(value: unknown, from: string): JSONWebKeySet {
  const listed = (value as { keys?: unknown } | null | undefined)?.keys;
  if (!Array.isArray(listed) || listed.length > maxKeys)
    throw new CodedError('KeysUseless', `${from} holds no key set of at most ${maxKeys} keys`);
  const keys = (listed as JWK[]).filter(
    (key) => typeof key === 'object' && key !== null && key.kty !== 'oct',
  );
  if (keys.length === 0) throw new CodedError('KeysUseless', `${from} holds no public key`);
  return { keys: keys.map(({ d: _private, ...key }) => key) as JWK[] };
}
