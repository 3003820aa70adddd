import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import { identityOf } from '../ca/authenticate.ts';
import { peerOf } from '../ca/peer.ts';
import type { WorkloadIdentity } from '../ca/spiffe.ts';
import { parseIp } from '../kit/ip.ts';
import { isObject } from '../kit/json.ts';
import {
  LineReader,
  type RegistrationClaim,
  registeredGroup,
  registrationPath,
  toLine,
} from '../kit/registration.ts';
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
  const takeAll = async (chunk: Buffer): Promise<void> => {
    for (const line of lines.push(chunk)) await take(line);
  };
  stream.on('data', (chunk: Buffer) => {
    // What comes meanwhile waits at the caller's side.
    stream.pause();
    work = takeAll(chunk).then(
      () => void stream.resume(),
      () => void stream.destroy(),
    );
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

/** Labels and ports of a claim, each. */
const mostEntries = 256;

/** The claim, or what is wrong with it. What passes is written into an object as it is. */
export function checkClaim(
  { workload, namespace, serviceAccount, group, address, network, locality, labels = {}, ports = {} }: Fields,
  identity: WorkloadIdentity,
): RegistrationClaim | string {
  if (!isName(workload)) return 'workload is no name';
  if (!isName(namespace)) return 'namespace is no name';
  if (!isName(serviceAccount)) return 'serviceAccount is no name';
  if (!isName(group)) return 'group is no name';
  if (typeof address !== 'string' || !parseIp(address)) return 'address is no IP address';
  if (namespace !== identity.namespace || serviceAccount !== identity.serviceAccount)
    return `the certificate is of ${identity.namespace}/${identity.serviceAccount}`;
  if (!isMapOf(labels, isText)) return 'labels is no mapping of texts';
  if (!isMapOf(ports, isPort)) return 'ports is no mapping of port numbers';
  if (network !== undefined && !isText(network)) return 'network is no text';
  if (locality !== undefined && !isText(locality)) return 'locality is no text';
  return {
    ...{ workload, namespace, serviceAccount, group, address, labels, ports },
    ...(network === undefined ? {} : { network }),
    ...(locality === undefined ? {} : { locality }),
  };
}

type Fields = Readonly<Record<string, unknown>>;

const isName = (value: unknown): value is string => typeof value === 'string' && name.test(value);
const isText = (value: unknown): value is string => typeof value === 'string' && value.length <= 253;
const isPort = (value: unknown): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value > 0 && value < 65_536;

function isMapOf<T>(value: unknown, isOne: (value: unknown) => value is T): value is Record<string, T> {
  if (!isObject(value)) return false;
  const entries = Object.entries(value);
  return entries.length <= mostEntries && entries.every(([key, one]) => isText(key) && isOne(one));
}

/**
 * Istio's agents name their group in the node metadata of their proxy: registered for as long as the proxy is connected. Ours register
 * themselves, and the proxy keeps the entry where the agent dies.
 */
export function withRegistration(source: ResourceSource, registration: AutoRegistration): ResourceSource {
  /** By proxy, what ends its registration, once there is one. */
  const ends = new Map<string, () => void>();
  const leave = (proxyId: string): void => {
    ends.get(proxyId)?.();
    ends.delete(proxyId);
  };
  return {
    connect(proxy) {
      source.connect(proxy);
      leave(proxy.id);
      if (typeof proxy.metadata[registeredGroup] === 'string') {
        ends.set(proxy.id, registration.hold({ namespace: proxy.namespace, workload: proxy.name }));
        return;
      }
      const claim = claimOf(proxy);
      if (!claim) return;
      const answer = registration.register(claim);
      // A proxy may be gone before its registration is answered: then it ends with the answer.
      ends.set(proxy.id, () => {
        void answer.then(
          (given) => {
            if ('registered' in given) registration.leave(claim);
          },
          () => undefined,
        );
      });
      answer.catch(() => undefined);
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
