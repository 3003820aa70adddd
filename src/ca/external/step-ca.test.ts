import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportJWK, generateKeyPair } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findStepCa, type StepCa, startStepCa } from '../../../test/support/step-ca.ts';
import { parseCertificateRequest } from '../certificate-request.ts';
import { createKey, createSigningRequest } from '../certificate-signing-request.ts';
import { pemBlocks } from '../pem.ts';
import { createSigner } from './create-signer.ts';
import { ExternalAuthority } from './external-authority.ts';

const found = findStepCa();
const identity = 'spiffe://cluster.local/ns/shop/sa/cart';

describe.skipIf('missing' in found)(
  `a real step-ca${'missing' in found ? ` (skipped: ${found.missing})` : ''}`,
  () => {
    let directory: string;
    let ca: StepCa;
    beforeAll(async () => {
      directory = mkdtempSync(join(tmpdir(), 'ostria-step-'));
      ca = await startStepCa('path' in found ? found.path : '', directory);
    });
    afterAll(async () => {
      await ca?.stop();
      rmSync(directory, { recursive: true });
    });

    const issue = async (settings: Partial<{ keyFile: string; url: string }> = {}, ttlMs = 3_600_000) => {
      const { url, rootFile, provisioner, keyFile } = ca;
      const signer = createSigner({ type: 'step-ca', url, rootFile, provisioner, keyFile, ...settings });
      const csr = createSigningRequest(await createKey(), identity);
      const parsed = await parseCertificateRequest(csr);
      if (!parsed.ok) throw new Error(parsed.error);
      return new ExternalAuthority({ signer, attempts: 1 })
        .under(ca.root)
        .issue({ csr, publicKey: parsed.publicKey, uris: [identity], ttlMs });
    };

    test('issues for a SPIFFE id, under its intermediate', async () => {
      const issued = await issue();
      expect(new X509Certificate(issued.certificate).subjectAltName).toBe(`URI:${identity}`);
      expect(pemBlocks(issued.intermediates)).toHaveLength(1);
      expect(issued.notAfter.getTime() - Date.now()).toBeLessThan(3_700_000);
    });

    test('refusals are told: another key, a lifetime that it does not give', async () => {
      const { privateKey } = await generateKeyPair('ES256', { extractable: true });
      const keyFile = join(directory, 'stranger.json');
      writeFileSync(keyFile, JSON.stringify({ ...(await exportJWK(privateKey)), kid: 'ostria' }));
      await expect(issue({ keyFile })).rejects.toThrow(/answers 40[13]/);
      await expect(issue({}, 400 * 86_400_000)).rejects.toThrow(/answers 40[03]/);
      await expect(issue({ url: 'https://localhost:1' })).rejects.toThrow(/ECONNREFUSED|localhost:1/);
    });
  },
);
