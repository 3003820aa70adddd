import { createPublicKey, X509Certificate } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createSelfSigned } from './authority.ts';
import { writeMaterial } from './authority-files.ts';
import { AuthorityRing } from './authority-ring.ts';
import { createKey } from './certificate-signing-request.ts';
import { bundleHash, pemBlocks } from './pem.ts';

const identity = 'spiffe://cluster.local/ns/default/sa/web';
let state: string;
let rings: AuthorityRing[];

beforeEach(() => {
  state = mkdtempSync(join(tmpdir(), 'ostria-ring-'));
  rings = [];
});

afterEach(async () => {
  for (const ring of rings) await ring.close();
  rmSync(state, { recursive: true });
});

async function open(options: { source?: string; silentMs?: number } = {}): Promise<AuthorityRing> {
  const ring = await AuthorityRing.open({
    state,
    syncMs: 20,
    rotationSyncMs: 10,
    checkMs: 10,
    ...options,
  });
  rings.push(ring);
  return ring;
}

/** Somebody with a certificate, who asks for news like an agent. */
class Holder {
  bundle = '';
  certificate!: X509Certificate;
  readonly #ring: () => AuthorityRing;
  readonly #instance: string;

  constructor(ring: () => AuthorityRing, instance: string) {
    this.#ring = ring;
    this.#instance = instance;
  }

  async renew(): Promise<this> {
    const ring = this.#ring();
    const publicKey = createPublicKey(await createKey()).export({ format: 'der', type: 'spki' });
    const issued = await ring.issue({ publicKey, uris: [identity] });
    ring.issued({ ...issued, identity }, this.certificate?.serialNumber);
    this.certificate = new X509Certificate(issued.certificate);
    this.bundle = issued.root;
    return this;
  }

  async sync(): Promise<void> {
    const { certificate } = this;
    const answer = this.#ring().sync({
      certificate,
      identity,
      bundle: bundleHash(this.bundle),
      instance: this.#instance,
    });
    if (answer.bundle !== undefined) {
      this.bundle = answer.bundle;
      return this.sync();
    }
    if (answer.renew) await this.renew();
  }

  trusts(other: Holder): boolean {
    return pemBlocks(this.bundle).some((root) =>
      other.certificate.verify(new X509Certificate(root).publicKey),
    );
  }
}

const phase = (ring: AuthorityRing) => ring.status().rotation?.phase ?? 'none';
const reaches = (ring: AuthorityRing, wanted: string) =>
  expect.poll(() => phase(ring), { interval: 10 }).toBe(wanted);

test('a rotation goes on when everybody has followed, and at no time does one holder distrust another', async () => {
  const ring = await open();
  const oldRoot = ring.root;
  const holders = [await new Holder(() => ring, 'a').renew(), await new Holder(() => ring, 'b').renew()];
  const [a, b] = holders as [Holder, Holder];
  const everyPairTrusts = () =>
    expect(holders.every((one) => holders.every((other) => one.trusts(other)))).toBe(true);
  for (const holder of holders) await holder.sync();

  await ring.rotate();
  await expect(ring.rotate()).rejects.toMatchObject({ code: 'RotationRunning' });
  expect(pemBlocks(ring.root)).toHaveLength(2);
  await a.sync();
  everyPairTrusts();
  await new Promise((resolve) => setTimeout(resolve, 80));
  expect(phase(ring)).toBe('trust');
  expect(ring.status().rotation?.waitingFor).toEqual([{ identity, instance: 'b' }]);
  await b.sync();
  await reaches(ring, 'issue');
  await a.sync();
  everyPairTrusts();
  expect(ring.forServers.root).toBe(oldRoot);
  await b.sync();
  everyPairTrusts();
  await reaches(ring, 'none');
  for (const holder of holders) await holder.sync();
  everyPairTrusts();
  expect(pemBlocks(ring.root)).toHaveLength(1);
  expect(ring.root).not.toBe(oldRoot);
  expect(a.bundle).toBe(ring.root);
  expect(existsSync(join(state, 'ca-retired', 'ca-key.pem'))).toBe(false);
  expect(statSync(join(state, 'ca', 'ca-key.pem')).mode & 0o777).toBe(0o600);
});

test.each(['trust', 'issue'])('a control plane that ends in the phase %s goes on from there', async (at) => {
  let ring = await open();
  const holder = await new Holder(() => ring, 'a').renew();
  await holder.sync();
  await ring.rotate();
  if (at === 'issue') {
    await holder.sync();
    await reaches(ring, 'issue');
  }
  const bundle = ring.root;
  await ring.close();
  ring = await open();
  expect([phase(ring), ring.root]).toEqual([at, bundle]);
  // It is known whom to wait for.
  await new Promise((resolve) => setTimeout(resolve, 80));
  expect(phase(ring)).toBe(at);
  await holder.sync();
  if (at === 'trust') await reaches(ring, 'issue');
  await holder.sync();
  await reaches(ring, 'none');
});

test('holders that never ask for news are waited for until they renew; one that is gone for long is not', async () => {
  const ring = await open({ silentMs: 120 });
  const deaf = await new Holder(() => ring, '').renew();
  const gone = await new Holder(() => ring, 'gone').renew();
  await gone.sync();
  await ring.rotate();
  await new Promise((resolve) => setTimeout(resolve, 250));
  expect(ring.status().rotation?.waitingFor).toEqual([{ identity, instance: '' }]);
  await deaf.renew();
  await reaches(ring, 'issue');
  await deaf.renew();
  await reaches(ring, 'none');
});

test('without those that are waited for it goes on when told so', async () => {
  const ring = await open();
  expect(() => ring.hurry()).toThrow('no rotation');
  await new Holder(() => ring, '').renew();
  await ring.rotate();
  ring.hurry();
  await reaches(ring, 'issue');
  ring.hurry();
  await reaches(ring, 'none');
});

test('an authority of the user’s: a new root moves the mesh, bad files change nothing', async () => {
  const source = join(state, 'mine');
  const [first, second] = [await createSelfSigned(), await createSelfSigned({ keyType: 'rsa-2048' })];
  await writeMaterial(source, first);
  const ring = await open({ source });
  expect(ring.status().kind).toBe('plugged-in');
  await expect(ring.rotate()).rejects.toMatchObject({ code: 'AuthorityPluggedIn' });
  const holder = await new Holder(() => ring, 'a').renew();
  await holder.sync();
  writeFileSync(join(source, 'ca-key.pem'), second.key);
  await new Promise((resolve) => setTimeout(resolve, 60));
  expect([phase(ring), ring.root]).toEqual(['none', first.root]);
  await writeMaterial(source, second);
  await reaches(ring, 'trust');
  await holder.sync();
  await reaches(ring, 'issue');
  await holder.sync();
  await reaches(ring, 'none');
  expect(ring.root).toBe(second.root);
  expect(readFileSync(join(state, 'ca', 'root-cert.pem'), 'utf8')).toBe(second.root);
});

test('a self-signed root near its end is replaced without being asked', async () => {
  await writeMaterial(join(state, 'ca'), await createSelfSigned({ ttlMs: 5_000 }));
  const ring = await open();
  const { root } = ring;
  await expect.poll(() => ring.root !== root && phase(ring) === 'none', { timeout: 20_000 }).toBe(true);
});
