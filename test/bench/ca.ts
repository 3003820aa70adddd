import { createPublicKey } from 'node:crypto';
import { connect } from 'node:http2';
import { certificateAuthenticator } from '../../src/ca/authenticate.ts';
import { createAuthority, createSelfSigned } from '../../src/ca/authority.ts';
import { startCertificateServer } from '../../src/ca/certificate-server.ts';
import { createCertificateService } from '../../src/ca/certificate-service.ts';
import { createKey, createSigningRequest, type KeyType } from '../../src/ca/certificate-signing-request.ts';
import { requestCertificate } from '../../src/ca/client.ts';
import { issueWithNewKey } from '../../src/ca/server-certificate.ts';
import { option } from './measure.ts';

/**
 * What certificates and connections cost the control plane, on one core: certificates signed a second (request checked, certificate
 * made and encoded), certificates a second over mTLS with a connection each, connects a second with mTLS. Prints JSON.
 *   node test/bench/ca.ts [--seconds 3] [--clients 16]
 */
const seconds = option('seconds', 3);
const clients = option('clients', 16);
const identity = 'spiffe://cluster.local/ns/default/sa/web';
const serverName = 'istiod.istio-system.svc';
const unbounded = { burst: 1e9, perSecond: 1e9 };

interface Rate {
  readonly perSecond: number;
  /** CPU milliseconds of this process per unit: server and clients together, where they are in one process. */
  readonly cpuMs: number;
}

async function rate(work: () => Promise<unknown>, parallel: number): Promise<Rate> {
  for (let i = 0; i < 5; i++) await work();
  const end = performance.now() + seconds * 1000;
  const [start, cpu] = [performance.now(), process.cpuUsage()];
  let done = 0;
  const worker = async (): Promise<void> => {
    while (performance.now() < end) {
      await work();
      done++;
    }
  };
  await Promise.all(Array.from({ length: parallel }, worker));
  const { user, system } = process.cpuUsage(cpu);
  const round = (value: number) => Math.round(value * 100) / 100;
  return {
    perSecond: round((done / (performance.now() - start)) * 1000),
    cpuMs: round((user + system) / 1000 / done),
  };
}

async function measure(keyType: KeyType): Promise<Record<string, Rate>> {
  const authority = await createAuthority(await createSelfSigned({ keyType }));
  const key = await createKey(keyType);
  const publicKey = createPublicKey(key).export({ format: 'der', type: 'spki' });
  const service = createCertificateService({
    authority,
    authenticators: [certificateAuthenticator({ trustDomains: ['cluster.local'] })],
    limits: { perIdentity: unbounded, total: unbounded, concurrent: 1_000 },
  });
  const server = await issueWithNewKey(authority, { dnsNames: [serverName] });
  const { port, close } = await startCertificateServer({
    service,
    certificate: server.certificateChain,
    key: server.key,
    root: authority.root,
  });
  const address = `127.0.0.1:${port}`;
  const own = await issueWithNewKey(authority, { uris: [identity] });
  const request = createSigningRequest(key, identity);
  const handshake = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const session = connect(`https://${address}`, {
        ca: authority.root,
        servername: serverName,
        key: own.key,
        cert: own.certificateChain,
      });
      session.once('error', reject);
      // The server's settings come once it has taken the client's certificate.
      session.once('remoteSettings', () => {
        session.close(() => resolve());
      });
    });
  try {
    return {
      newKey: await rate(() => createKey(keyType), 1),
      request: await rate(async () => createSigningRequest(key, identity), 1),
      signed: await rate(() => authority.issue({ publicKey, csr: request, uris: [identity] }), 4),
      certificatesOverMtls: await rate(
        () =>
          requestCertificate({
            address,
            root: authority.root,
            serverName,
            credential: own,
            identity,
            keyType,
          }),
        clients,
      ),
      connectsWithMtls: await rate(handshake, clients),
    };
  } finally {
    await close();
  }
}

const results: Record<string, unknown> = { seconds, clients };
for (const keyType of ['ecdsa-p256', 'rsa-2048'] as const) results[keyType] = await measure(keyType);
process.stdout.write(`${JSON.stringify(results, null, 2)}\n`);
