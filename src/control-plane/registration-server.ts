import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import { identityOf } from '../ca/authenticate.ts';
import { peerOf } from '../ca/peer.ts';
import type { WorkloadIdentity } from '../ca/spiffe.ts';
import { LineReader, type RegistrationClaim, registrationPath, toLine } from '../kit/registration.ts';
import type { MeshProxy } from '../snapshot/proxy.ts';
import type { ResourceSource } from '../snapshot/push.ts';
import type { AutoRegistration } from './auto-registration.ts';

/** Serves the agents' calls; true: it took the call. The caller may claim only what its certificate proves. */
export function serveRegistration(
  registration: AutoRegistration,
  trustDomains: readonly string[],
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
): boolean {
  if (headers[':path'] !== registrationPath) return false;
  const { certificate } = peerOf(stream, headers);
  const identity = certificate && identityOf(certificate);
  stream.on('error', () => undefined);
  if (headers[':method'] !== 'POST' || !identity || !trustDomains.includes(identity.trustDomain)) {
    stream.respond({ ':status': 403 }, { endStream: true });
    return true;
  }
  stream.respond({ ':status': 200, 'content-type': 'application/x-ndjson' });
  follow(registration, identity, stream);
  return true;
}

function follow(registration: AutoRegistration, identity: WorkloadIdentity, stream: ServerHttp2Stream): void {
  const lines = new LineReader();
  let claim: RegistrationClaim | undefined;
  let forGood = false;
  let open = true;
  const begin = async (claimed: RegistrationClaim): Promise<void> => {
    const answer = await registration.register(claimed);
    if ('refused' in answer) refuse(answer.refused);
    else {
      claim = claimed;
      if (open) stream.write(toLine(answer));
    }
  };
  const take = async (line: Record<string, unknown>): Promise<void> => {
    if (!claim) {
      const claimed = checkClaim(line, identity);
      if (typeof claimed === 'string') refuse(claimed);
      else await begin(claimed);
    } else if (line.leaving === true) forGood = true;
    else if (typeof line.healthy === 'boolean')
      registration.report(claim, { healthy: line.healthy, message: String(line.message ?? '') });
  };
  const refuse = (refused: string): void => {
    if (open) stream.end(toLine({ refused }));
  };
  let work = Promise.resolve();
  stream.on('data', (chunk: Buffer) => {
    try {
      for (const line of lines.push(chunk))
        work = work.then(() => take(line)).catch(() => void stream.destroy());
    } catch {
      stream.destroy();
    }
  });
  stream.on('close', () => {
    open = false;
    void work.then(() => {
      if (claim) registration.leave(claim, forGood);
    });
  });
  stream.on('end', () => stream.end());
}

const name = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;

/** The claim, or what is wrong with it. */
function checkClaim(line: Record<string, unknown>, identity: WorkloadIdentity): RegistrationClaim | string {
  const claim = line as unknown as RegistrationClaim;
  for (const field of ['workload', 'namespace', 'serviceAccount', 'group'] as const)
    if (typeof claim[field] !== 'string' || !name.test(claim[field])) return `${field} is no name`;
  if (typeof claim.address !== 'string' || claim.address === '') return 'address is missing';
  if (claim.namespace !== identity.namespace || claim.serviceAccount !== identity.serviceAccount)
    return `the certificate is of ${identity.namespace}/${identity.serviceAccount}`;
  const maps: readonly unknown[] = [claim.labels ?? {}, claim.ports ?? {}];
  if (maps.some((map) => typeof map !== 'object' || map === null)) return 'labels and ports must be mappings';
  return claim;
}

/** Istio's agents name their group in the node metadata of their proxy: registered for as long as the proxy is connected. */
export function withRegistration(source: ResourceSource, registration: AutoRegistration): ResourceSource {
  const claims = new Map<string, RegistrationClaim>();
  const leave = (proxyId: string): void => {
    const claim = claims.get(proxyId);
    claims.delete(proxyId);
    if (claim) registration.leave(claim);
  };
  return {
    connect(proxy) {
      source.connect(proxy);
      leave(proxy.id);
      const claim = claimOf(proxy);
      if (!claim) return;
      void registration.register(claim).then(
        (answer) => {
          if ('registered' in answer) claims.set(proxy.id, claim);
        },
        () => undefined,
      );
    },
    ...(source.prepare ? { prepare: (proxy: MeshProxy) => source.prepare?.(proxy) } : {}),
    ...(source.demand
      ? { demand: (...asked: Parameters<NonNullable<ResourceSource['demand']>>) => source.demand?.(...asked) }
      : {}),
    disconnect(proxyId) {
      source.disconnect(proxyId);
      leave(proxyId);
    },
    resources: (proxyId, typeUrl) => source.resources(proxyId, typeUrl),
    onPush: (listener) => source.onPush(listener),
    get revision() {
      return source.revision;
    },
  };
}

function claimOf(proxy: MeshProxy): RegistrationClaim | undefined {
  const group = proxy.metadata.AUTO_REGISTER_GROUP;
  const [address] = proxy.addresses;
  if (typeof group !== 'string' || group === '' || address === undefined) return undefined;
  const { region, zone, subZone } = proxy.locality;
  const locality = [region, zone, subZone].filter((part) => part !== '').join('/');
  return {
    workload: proxy.name,
    namespace: proxy.namespace,
    serviceAccount: proxy.serviceAccount,
    group,
    address,
    labels: proxy.labels,
    ...(proxy.network === '' ? {} : { network: proxy.network }),
    ...(locality === '' ? {} : { locality }),
  };
}
