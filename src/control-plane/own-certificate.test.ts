import { expect, it } from 'vitest';
import type { CertificateAuthority } from '../ca/authority.ts';
import type { Clock } from '../kit/clock.ts';
import { OwnCertificate } from './own-certificate.ts';

const hour = 3_600_000;

/** Waits end when a test lets time pass. */
function testClock() {
  let now = 0;
  const waits: { until: number; end: () => void }[] = [];
  const clock: Clock = {
    now: () => now,
    sleep: (ms, { signal } = {}) =>
      new Promise((resolve) => {
        waits.push({ until: now + ms, end: resolve });
        signal?.addEventListener('abort', () => resolve());
      }),
  };
  const pass = (ms: number): void => {
    now += ms;
    for (const { until, end } of waits) if (until <= now) end();
  };
  return { clock, pass };
}

async function setUp() {
  const { clock, pass } = testClock();
  const warnings: string[] = [];
  let down = false;
  const authority = (name: string): CertificateAuthority =>
    ({
      issue: async () => {
        if (down) throw new Error(`${name} is down`);
        return {
          certificate: name,
          intermediates: '',
          notBefore: new Date(clock.now()),
          notAfter: new Date(clock.now() + 24 * hour),
        };
      },
    }) as unknown as CertificateAuthority;
  let change = (): void => {};
  const ring = {
    forServers: authority('first'),
    onChange: (listener: () => void) => {
      change = listener;
      return () => {
        change = () => {};
      };
    },
  };
  const own = await OwnCertificate.issue({
    ring,
    host: '127.0.0.1',
    warn: (message) => warnings.push(message),
    clock,
  });
  const used: string[] = [];
  own.keep(() => used.push(own.current.certificateChain));
  return {
    ...{ own, used, warnings, pass },
    rootsChange: () => change(),
    signedBy(name: string) {
      ring.forServers = authority(name);
      change();
    },
    setDown(value: boolean) {
      down = value;
    },
  };
}

it('is another one at half life; roots that change are told with the same', async () => {
  const { own, used, pass, rootsChange } = await setUp();
  const first = own.current;
  rootsChange();
  expect(used).toEqual(['first']);
  expect(own.current).toBe(first);
  pass(12 * hour);
  await expect.poll(() => used.length).toBe(2);
  expect(own.current).not.toBe(first);
  own.close();
});

it('is of whoever signs for servers now, also when that one does not answer at first', async () => {
  const { own, used, warnings, pass, signedBy, setDown } = await setUp();
  setDown(true);
  signedBy('second');
  pass(0);
  await expect.poll(() => warnings).toEqual([expect.stringContaining('second is down')]);
  expect(own.current.certificateChain).toBe('first');
  setDown(false);
  pass(60_000);
  await expect.poll(() => used).toEqual(['second']);
  own.close();
});

it('is not renewed any more once it is closed', async () => {
  const { own, used, pass, signedBy } = await setUp();
  own.close();
  signedBy('second');
  pass(24 * hour);
  await new Promise((resolve) => setTimeout(resolve, 10));
  expect(used).toEqual([]);
});
