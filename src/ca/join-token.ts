import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { closeSync, fsyncSync, openSync, readdirSync, readFileSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { makePrivateDirectory, writeFileAtomicSync } from '../kit/atomic-file.ts';
import { type Clock, systemClock } from '../kit/clock.ts';
import { CodedError } from '../kit/coded-error.ts';
import { isWorkloadIdentity, type WorkloadIdentity } from './spiffe.ts';

/*
 * A join token is `ostria-join.<id>.<secret>`. One file per token, named by the id, holds the SHA-256 of the secret, the identity
 * and the end. Redeeming is the removal of that file: the kernel lets exactly one of any number of processes do it, so the
 * supervisor may mint while the control plane redeems, and a restart forgets nothing.
 */

const PREFIX = 'ostria-join.';
const PATTERN = /^ostria-join\.([0-9a-f]{32})\.([A-Za-z0-9_-]{43})$/;
const FILE = /^[0-9a-f]{32}\.json$/;

export interface JoinTokensOptions {
  /** Made with mode 0700 when absent. */
  directory: string;
  /** Default 10 minutes. */
  ttlMs?: number;
  /** Unredeemed tokens at one time. Default 10,000. */
  maxTokens?: number;
  clock?: Clock;
}

export interface JoinTokens {
  /** A new token of one use for `identity`. Throws `JoinTokensFull` or `IdentityInvalid`. */
  mint(identity: WorkloadIdentity, options?: { ttlMs?: number }): { token: string; expiresAt: Date };
  /** Whom the token is for, while it is good. */
  check(token: string): WorkloadIdentity | undefined;
  /** Uses the token up: for exactly one caller. It gets the way to give it back, where it served for nothing; undefined for all others. */
  redeem(token: string): (() => void) | undefined;
  /** Removes the tokens that ran out; returns how many. */
  sweep(): number;
}

interface StoredToken {
  secretSha256: string;
  identity: WorkloadIdentity;
  expiresAt: number;
}

export function isJoinToken(token: string): boolean {
  return token.startsWith(PREFIX);
}

export function openJoinTokens(options: JoinTokensOptions): JoinTokens {
  const { directory, ttlMs = 10 * 60_000, maxTokens = 10_000, clock = systemClock } = options;
  makePrivateDirectory(directory);

  function find(token: string): { path: string; stored: StoredToken } | undefined {
    const [, id, secret] = PATTERN.exec(token) ?? [];
    if (!id || !secret) return undefined;
    const path = join(directory, `${id}.json`);
    const stored = readToken(path);
    if (!stored) return undefined;
    if (!timingSafeEqual(sha256(secret), Buffer.from(stored.secretSha256, 'hex'))) return undefined;
    return stored.expiresAt > clock.now() ? { path, stored } : undefined;
  }

  function sweep(): number {
    let removed = 0;
    for (const name of readdirSync(directory)) {
      if (!FILE.test(name)) continue;
      const path = join(directory, name);
      const stored = readToken(path);
      if ((!stored || stored.expiresAt <= clock.now()) && remove(path)) removed++;
    }
    return removed;
  }

  return {
    mint(identity, mintOptions = {}) {
      if (!isWorkloadIdentity(identity))
        throw new CodedError('IdentityInvalid', `not a workload identity: ${JSON.stringify(identity)}`);
      if (count(directory) >= maxTokens) sweep();
      if (count(directory) >= maxTokens)
        throw new CodedError(
          'JoinTokensFull',
          `${maxTokens} join tokens wait to be used; the oldest run out within ${Math.ceil(ttlMs / 60_000)} minutes`,
        );
      const id = randomBytes(16).toString('hex');
      const secret = randomBytes(32).toString('base64url');
      const expiresAt = clock.now() + Math.min(mintOptions.ttlMs ?? ttlMs, ttlMs);
      const stored: StoredToken = { secretSha256: sha256(secret).toString('hex'), identity, expiresAt };
      writeFileAtomicSync(join(directory, `${id}.json`), JSON.stringify(stored));
      return { token: `${PREFIX}${id}.${secret}`, expiresAt: new Date(expiresAt) };
    },
    check: (token) => find(token)?.stored.identity,
    redeem(token) {
      const found = find(token);
      if (!found || !remove(found.path)) return undefined;
      // A token must not come back after a power cut.
      const handle = openSync(directory, 'r');
      fsyncSync(handle);
      closeSync(handle);
      return () => writeFileAtomicSync(found.path, JSON.stringify(found.stored));
    },
    sweep,
  };
}

function readToken(path: string): StoredToken | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'));
    return isStoredToken(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isStoredToken(value: unknown): value is StoredToken {
  const stored = value as Partial<StoredToken> | null;
  return (
    typeof stored === 'object' &&
    stored !== null &&
    typeof stored.secretSha256 === 'string' &&
    /^[0-9a-f]{64}$/.test(stored.secretSha256) &&
    typeof stored.expiresAt === 'number' &&
    typeof stored.identity === 'object' &&
    isWorkloadIdentity(stored.identity)
  );
}

function remove(path: string): boolean {
  try {
    unlinkSync(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

function count(directory: string): number {
  return readdirSync(directory).filter((name) => FILE.test(name)).length;
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
