import type { ConfigObject } from '../../../config/object.ts';
import type { CertificateFacts } from '../../../kit/certificate-facts.ts';
import type { Problem } from '../../../plan/feature.ts';
import { readCertificate, readTrust } from '../../../plan/read-certificate.ts';
import { selectorId } from '../../../snapshot/attribute.ts';
import type { View } from '../../../snapshot/view.ts';
import { defineIndex } from '../../../snapshot/world.ts';
import { credentialObject, parseCredential, secretName } from './credentials.ts';
import { gatewayNamespaces } from './gateway-places.ts';
import { type Gateway, gatewayKind, gatewayOrigin, type Server } from './kinds.ts';
import { certificateCredentials, trustCredential } from './server-tls.ts';
import { splitServerHost } from './servers.ts';

/** Credentials that the selected gateways cannot use, and names taken twice. */
export function gatewayProblems(view: View, object: ConfigObject): Problem[] {
  if (object.kind !== 'Gateway') return [];
  const gateway = object as Gateway;
  const secured = gateway.spec?.servers?.some(({ tls }) => tls) ?? false;
  const places = secured ? gatewayNamespaces(view, gateway) : [];
  return [
    ...(gateway.spec?.servers ?? []).flatMap((server, index) =>
      places.flatMap((place) => credentialProblems(view, { gateway, place }, server, index)),
    ),
    ...conflictProblems(gateway),
    ...conflictsWithOthers(view, gateway),
  ];
}

/** A Gateway and a namespace in which its gateways run. */
interface Placed {
  readonly gateway: Gateway;
  readonly place: string;
}

function credentialProblems(view: View, placed: Placed, { tls, port }: Server, index: number): Problem[] {
  if (!tls) return [];
  const { gateway } = placed;
  const at = (field: string) => gatewayOrigin(gateway, `spec.servers[${index}].tls.${field}`);
  const closed = `port ${port.number} takes no connection for it`;
  const many = (tls.credentialNames?.length ?? 0) > 0;
  const certificates = certificateCredentials(tls).flatMap((credential, item) =>
    certificateProblems(view, placed, credential, closed).map((problem) => ({
      origin: at(many ? `credentialNames[${item}]` : 'credentialName'),
      ...problem,
    })),
  );
  const anchors = trustCredential(tls);
  const named = tls.caCertCredentialName
    ? 'caCertCredentialName'
    : many
      ? 'credentialNames[0]'
      : 'credentialName';
  return [
    ...certificates,
    ...(anchors === undefined ? [] : trustProblems(view, placed, anchors, closed)).map((problem) => ({
      origin: at(named),
      ...problem,
    })),
  ];
}

type Finding = Omit<Problem, 'origin'>;

function certificateProblems(view: View, placed: Placed, credential: string, closed: string): Finding[] {
  const found = lookUp(view, placed, credential);
  if (typeof found === 'string') return [{ code: 'CredentialNotFound', message: `${found}: ${closed}` }];
  const reading = readCertificate(found.object);
  if (!reading.ok)
    return [
      { code: 'InvalidCertificate', message: `${found.name} cannot be used, ${reading.why}: ${closed}` },
    ];
  return validity(reading.value.facts, `the certificate in ${found.name}`, 'clients refuse it');
}

function trustProblems(view: View, placed: Placed, credential: string, closed: string): Finding[] {
  const found = lookUp(view, placed, credential);
  if (typeof found === 'string')
    return [{ code: 'CredentialNotFound', message: `${found} (for client certificates): ${closed}` }];
  const reading = readTrust(found.object);
  if (!reading.ok)
    return [
      {
        code: 'InvalidCertificate',
        message: `${found.name} cannot vouch for clients, ${reading.why}: ${closed}`,
      },
    ];
  return reading.value.facts.flatMap((facts) =>
    validity(facts, `an authority in ${found.name}`, 'clients that it vouches for are refused'),
  );
}

/** The object, or why there is none. */
function lookUp(
  view: View,
  { gateway, place: namespace }: Placed,
  credential: string,
): { readonly object: ConfigObject; readonly name: string } | string {
  const object = credentialObject(view, credential, namespace);
  if (object) return { object, name: `${object.kind} ${namespace}/${object.metadata.name}` };
  const place = parseCredential(credential);
  if (!place) return `${secretName(credential)} names no object`;
  const from = place.namespace || namespace;
  const own = gateway.metadata.namespace ?? 'default';
  const misplaced =
    own !== namespace && credentialObject(view, credential, own)
      ? `; ${place.kind} ${own}/${place.name} is out of its reach`
      : '';
  return from === namespace
    ? `there is no ${place.kind} ${namespace}/${place.name}, where a gateway that runs in ${namespace} looks${misplaced}`
    : `a gateway that runs in ${namespace} may not read ${place.kind} ${from}/${place.name}`;
}

function validity({ notBefore, notAfter }: CertificateFacts, what: string, effect: string): Finding[] {
  const day = (time: number): string => new Date(time).toISOString();
  return [
    {
      code: 'CertificateExpired',
      message: `${what} expired at ${day(notAfter)}: ${effect}; renew it`,
      from: notAfter,
    },
    {
      code: 'CertificateNotYetValid',
      message: `${what} is not valid before ${day(notBefore)}: ${effect} until then`,
      until: notBefore,
    },
  ];
}

/** Two servers of one port that want the same TLS host: the first has it. */
function conflictProblems(gateway: Gateway): Problem[] {
  const owners = new Map<string, number>();
  return securedHosts(gateway).flatMap(({ index, port, host }) => {
    const id = `${port} ${host}`;
    const owner = owners.get(id);
    owners.set(id, owner ?? index);
    if (owner === undefined) return [];
    return [
      {
        origin: gatewayOrigin(gateway, `spec.servers[${index}].hosts`),
        code: 'ConflictingHost',
        message: `host ${host} on port ${port} belongs to spec.servers[${owner}] already: the first server has it`,
      },
    ];
  });
}

/** `port bind host` → Gateways with a server for it. */
const gatewaysBySecuredHost = defineIndex('gateways-by-secured-host', gatewayKind, (gateway) => [
  ...new Set(securedHosts(gateway).map(({ port, bind, host }) => `${port} ${bind} ${host}`)),
]);

/** Another Gateway for the same workloads that has the host since longer. */
function conflictsWithOthers(view: View, gateway: Gateway): Problem[] {
  const selector = selectorId(gateway.spec?.selector ?? {});
  return securedHosts(gateway).flatMap(({ index, port, bind, host }) => {
    const owner = view.list(gatewaysBySecuredHost, `${port} ${bind} ${host}`).find((key) => {
      const other = view.get(gatewayKind, key);
      return other && precedes(other, gateway) && selectorId(other.spec?.selector ?? {}) === selector;
    });
    if (owner === undefined) return [];
    return [
      {
        origin: gatewayOrigin(gateway, `spec.servers[${index}].hosts`),
        code: 'ConflictingHost',
        message: `host ${host} on port ${port} belongs to the older Gateway ${owner}: it answers there`,
      },
    ];
  });
}

function precedes(a: Gateway, b: Gateway): boolean {
  const order = ({ metadata }: Gateway): string =>
    `${metadata.creationTimestamp ?? ''} ${metadata.name}.${metadata.namespace}`;
  return order(a) < order(b);
}

interface SecuredHost {
  readonly index: number;
  readonly port: number;
  readonly bind: string;
  readonly host: string;
}

/** Hosts behind TLS that ends at the gateway: each has one owner per port. */
function securedHosts(gateway: Gateway): SecuredHost[] {
  const namespace = gateway.metadata.namespace ?? 'default';
  return (gateway.spec?.servers ?? []).flatMap(({ tls, port, bind = '', hosts }, index) => {
    if (!tls || tls.httpsRedirect || tls.mode === 'PASSTHROUGH') return [];
    return hosts.map((written) => ({
      index,
      port: port.number,
      bind,
      host: splitServerHost(written, namespace).host,
    }));
  });
}
