import { createPublicKey, X509Certificate } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createAuthority, createSelfSigned } from './authority.ts';
import { writeMaterial } from './authority-files.ts';
import { AuthorityRing } from './authority-ring.ts';
import { parseCertificateRequest } from './certificate-request.ts';
import { createKey, createSigningRequest } from './certificate-signing-request.ts';
import { ExternalAuthority } from './external/external-authority.ts';
import { bundleHash, pemBlocks } from './pem.ts';
import type { AuthorityRingOptions } from './ring-options.ts';

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

async function open(options: Partial<AuthorityRingOptions> = {}): Promise<AuthorityRing> {
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

  renew(): Promise<this> {
    return this.renewWith(this.#ring());
  }

  async renewWith(ring: AuthorityRing): Promise<this> {
    const key = await createKey();
    const publicKey = createPublicKey(key).export({ format: 'der', type: 'spki' });
    const issued = await ring.issue({
      publicKey,
      csr: createSigningRequest(key, identity),
      uris: [identity],
    });
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
  await expect.poll(() => ring.root !== root && phase(ring) === 'none').toBe(true);
});

/** An authority elsewhere, and its roots in a file. */
async function elsewhere(name: string) {
  const material = await createSelfSigned();
  const rootFile = join(state, `${name}.pem`);
  writeFileSync(rootFile, material.root);
  const upstream = await createAuthority(material);
  let down = false;
  const make = (): NonNullable<AuthorityRingOptions['external']> => ({
    rootFile,
    authority: new ExternalAuthority({
      attempts: 1,
      signer: {
        name,
        async sign({ csr, identity: uri }) {
          if (down) throw new Error('it is down');
          const parsed = await parseCertificateRequest(csr);
          if (!parsed.ok) throw new Error(parsed.error);
          return (await upstream.issue({ publicKey: parsed.publicKey, uris: [uri] })).certificate;
        },
      },
    }),
  });
  return { root: material.root, rootFile, make, setDown: (is: boolean) => (down = is) };
}

async function follow(ring: AuthorityRing, holders: readonly Holder[], wanted: string): Promise<void> {
  for (const holder of holders) await holder.sync();
  for (const one of holders) for (const other of holders) expect(one.trusts(other)).toBe(true);
  await reaches(ring, wanted);
}

test('a mesh moves to an external authority and back, and the control plane keeps its own root', async () => {
  const first = await open();
  const [own, holders] = [first.root, [await new Holder(() => ring, 'a').renewWith(first)]];
  const [a] = holders as [Holder];
  await first.close();

  const external = await elsewhere('outer');
  let ring = await open({ external: external.make() });
  expect([ring.status().kind, phase(ring)]).toEqual(['external', 'trust']);
  await expect(ring.rotate()).rejects.toMatchObject({ code: 'RotationRunning' });
  await follow(ring, holders, 'issue');
  external.setDown(true);
  await expect(a.renew()).rejects.toThrow('it is down');
  expect(ring.status().external).toMatchObject({ name: 'outer', failed: 1, problem: 'it is down' });
  external.setDown(false);
  await follow(ring, holders, 'none');
  expect(ring.root).toBe(external.root);
  // Who joins knows the old root: the control plane shows a certificate of it on and on.
  expect(ring.forServers.root).toBe(own);
  expect(ring.status().chains.map(({ what }) => what)).toEqual(['root', 'control plane root']);
  await expect(ring.rotate()).rejects.toMatchObject({ code: 'AuthorityPluggedIn' });
  expect(await a.renew()).toBe(a);
  await ring.close();

  ring = await open();
  expect(phase(ring)).toBe('trust');
  expect(ring.forServers.root).toBe(own);
  await follow(ring, holders, 'issue');
  await follow(ring, holders, 'none');
  expect(ring.status().kind).toBe('self-signed');
  expect(pemBlocks(ring.root)).not.toContain(external.root);
});

test('new roots of an external authority; a file that holds none changes nothing', async () => {
  const external = await elsewhere('outer');
  const next = await createSelfSigned();
  const ring = await open({ external: external.make() });
  const holder = await new Holder(() => ring, 'a').renew();
  writeFileSync(external.rootFile, 'nothing');
  await new Promise((resolve) => setTimeout(resolve, 60));
  expect([phase(ring), ring.root]).toEqual(['none', external.root]);
  writeFileSync(external.rootFile, external.root + next.root);
  await reaches(ring, 'trust');
  await follow(ring, [holder], 'issue');
  await follow(ring, [holder], 'none');
  expect(ring.root).toBe(external.root + next.root);
});
