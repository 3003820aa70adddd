import { CodedError, messageOf } from '../../kit/coded-error.ts';
import { type JsonAnswer, type JsonRequest, requestJson } from '../../kit/json-request.ts';
import type { KubernetesAuthoritySettings } from '../settings/identity-settings.ts';
import { kubernetesServer } from '../tokens/kubernetes-server.ts';
import { type ExternalSigner, type SigningRequest, signerFailed, signerRefused } from './signer.ts';

const path = '/apis/certificates.k8s.io/v1/certificatesigningrequests';
/** Marks the requests that are ours to remove. */
const ownLabel = 'ostria.io/workload-certificate';
/** Kubernetes gives no certificate a shorter life. */
const shortestSeconds = 600;
/** Requests of ours that are older were left by a process that ended in between. */
const leftOverMs = 3_600_000;
const sweepEveryMs = 30 * 60_000;
const maxSwept = 200;

interface Condition {
  readonly type: string;
  readonly status?: string;
  readonly reason?: string;
  readonly message?: string;
}

interface CertificateSigningRequest {
  readonly metadata: { readonly name: string; readonly creationTimestamp?: string };
  readonly status?: { readonly certificate?: string; readonly conditions?: readonly Condition[] };
}

/** The signers of a Kubernetes cluster, by CertificateSigningRequest objects; each is removed when it has served. */
export function kubernetesSigner(settings: KubernetesAuthoritySettings): ExternalSigner {
  const client = kubernetesClient(settings);
  const sweep = () => void removeLeftOvers(client).catch(() => undefined);
  const timer = setInterval(sweep, sweepEveryMs).unref();
  sweep();
  return {
    name: `the Kubernetes signer ${settings.signerName}`,
    async sign(request) {
      const created = await createRequest(client, settings, request);
      const { name } = created.metadata;
      try {
        if (settings.approve) await approve(client, created, request.signal);
        return await awaitCertificate(client, name, settings.waitSeconds * 1000, request.signal);
      } finally {
        await client({ method: 'DELETE', path: `${path}/${name}` }).catch(() => undefined);
      }
    },
    close: () => clearInterval(timer),
  };
}

type Client = (
  request: Pick<JsonRequest, 'method' | 'body' | 'signal'> & { path: string },
) => Promise<JsonAnswer['json']>;

function kubernetesClient(settings: KubernetesAuthoritySettings): Client {
  return async ({ path: at, ...request }) => {
    const { url, access } = await kubernetesServer(settings).catch((error: unknown) => {
      throw signerFailed(messageOf(error));
    });
    const { status, json } = await requestJson({
      ...request,
      url: `${url}${at}`,
      access,
      maxBytes: 16 << 20,
    }).catch((error: unknown) => {
      throw signerFailed(messageOf(error));
    });
    if (status >= 200 && status < 300) return json;
    const { message = `it answers ${status}` } = (json ?? {}) as { message?: string };
    throw status === 429 || status === 409 || status >= 500 ? signerFailed(message) : signerRefused(message);
  };
}

async function createRequest(
  client: Client,
  settings: KubernetesAuthoritySettings,
  { csr, ttlMs, signal }: SigningRequest,
): Promise<CertificateSigningRequest> {
  const body = {
    apiVersion: 'certificates.k8s.io/v1',
    kind: 'CertificateSigningRequest',
    metadata: { generateName: 'ostria-workload-', labels: { [ownLabel]: 'true' } },
    spec: {
      request: Buffer.from(csr).toString('base64'),
      signerName: settings.signerName,
      expirationSeconds: Math.max(shortestSeconds, Math.floor(ttlMs / 1000)),
      usages: ['digital signature', 'key encipherment', 'server auth', 'client auth'],
    },
  };
  return (await client({ method: 'POST', path, body, signal })) as CertificateSigningRequest;
}

async function approve(
  client: Client,
  created: CertificateSigningRequest,
  signal: AbortSignal,
): Promise<void> {
  const condition = {
    type: 'Approved',
    status: 'True',
    reason: 'OstriaProvedIdentity',
    message: 'the identity in this request was proved to the control plane',
  };
  const body = { ...created, status: { ...created.status, conditions: [condition] } };
  await client({ method: 'PUT', path: `${path}/${created.metadata.name}/approval`, body, signal });
}

async function awaitCertificate(
  client: Client,
  name: string,
  limitMs: number,
  signal: AbortSignal,
): Promise<string> {
  const until = Date.now() + limitMs;
  for (let pause = 50; ; pause = Math.min(1_000, pause * 1.5)) {
    const { status } = (await client({
      method: 'GET',
      path: `${path}/${name}`,
      signal,
    })) as CertificateSigningRequest;
    const bad = status?.conditions?.find(
      ({ type, status: is }) => is !== 'False' && (type === 'Denied' || type === 'Failed'),
    );
    if (bad)
      throw signerRefused(
        `${name} is ${bad.type.toLowerCase()}: ${bad.message ?? bad.reason ?? 'no reason is given'}`,
      );
    if (status?.certificate) return Buffer.from(status.certificate, 'base64').toString('utf8');
    const approved = status?.conditions?.some(({ type }) => type === 'Approved');
    // What was not decided in all that time is not decided faster by another request.
    if (Date.now() + pause > until)
      throw signerRefused(`${name} was not ${approved ? 'signed' : 'approved'} within ${limitMs / 1000} s`);
    if (signal.aborted) throw signerFailed(`${name} was not signed in time`);
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

async function removeLeftOvers(client: Client): Promise<void> {
  const query = `?labelSelector=${encodeURIComponent(`${ownLabel}=true`)}&limit=${maxSwept}`;
  const { items = [] } = (await client({ method: 'GET', path: `${path}${query}` })) as {
    items?: CertificateSigningRequest[];
  };
  for (const { metadata } of items)
    if (Date.now() - Date.parse(metadata.creationTimestamp ?? '') > leftOverMs)
      await client({ method: 'DELETE', path: `${path}/${metadata.name}` }).catch((error: unknown) => {
        if (!(error instanceof CodedError)) throw error;
      });
}
