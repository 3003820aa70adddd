import type {
  SidecarInboundConnectionPool,
  SidecarIngress,
  SidecarIngressTls,
} from '../../../../gen/crd/types/istio/sidecar.ts';
import type { Origin } from '../../../config/origin.ts';
import { anchorsOfFiles, type FileSecret, pairOfFiles } from '../../../plan/file-secret.ts';
import type { DownstreamTls } from '../../../plan/listener-plan.ts';
import { type Sidecar, sidecarFor, sidecarKind, sidecarOrigin } from '../../../plan/sidecar.ts';
import { parseProtocol } from '../../../registry/protocol.ts';
import type { Protocol } from '../../../registry/service.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';

export interface IngressPool {
  readonly settings: SidecarInboundConnectionPool;
  readonly origin: Origin;
}

/** Where a port's connections are forwarded to. */
export type IngressTarget =
  /** Where they were meant to go. */
  | { readonly type: 'original' }
  /** The workload's own address. */
  | { readonly type: 'instance'; readonly port: number }
  /** The machine itself: an IP, or `unix:///path` with port 0. */
  | { readonly type: 'local'; readonly address: string; readonly port: number };

/** A port of the application as a Sidecar describes it. */
export interface IngressListener {
  readonly port: number;
  /** What is spoken once TLS, if it ends here, is off. */
  readonly protocol: Protocol;
  /** '' for the default. */
  readonly bind: string;
  readonly captureMode: 'DEFAULT' | 'IPTABLES' | 'NONE';
  readonly target: IngressTarget;
  /** Ends TLS of the application's own clients; counts only where the port takes no mutual TLS of the mesh. */
  readonly tls?: DownstreamTls;
  readonly pool?: IngressPool;
  readonly origin: Origin;
}

/** The ingress listeners of a Sidecar, in the order of the object; none: the ports of the workload's services. */
export const ingressListeners = defineQuery(
  'sidecar.ingress',
  (view, key: Key): readonly IngressListener[] => {
    const sidecar = key === '' ? undefined : view.get(sidecarKind, key);
    const seen = new Set<number>();
    return (sidecar?.spec?.ingress ?? []).flatMap((ingress, index) => {
      const port = ingress.port.number ?? 0;
      if (!sidecar || port === 0 || seen.has(port)) return [];
      seen.add(port);
      return [readIngress(sidecar, ingress, index, port)];
    });
  },
);

function readIngress(
  sidecar: Sidecar,
  ingress: SidecarIngress,
  index: number,
  port: number,
): IngressListener {
  const origin = sidecarOrigin(sidecar, `spec.ingress[${index}]`);
  const written = parseProtocol(ingress.port.protocol ?? '');
  const ends = ingress.tls !== undefined && ingress.tls.mode !== 'PASSTHROUGH';
  const protocol = ends ? (written === 'HTTPS' ? 'HTTP' : written === 'TLS' ? 'TCP' : written) : written;
  const pool = poolOf(sidecar, ingress, index);
  return {
    port,
    protocol,
    bind: ingress.bind ?? '',
    captureMode: ingress.captureMode ?? 'DEFAULT',
    target: targetOf(ingress.defaultEndpoint ?? ''),
    ...(ends && ingress.tls ? { tls: serverTls(ingress.tls, protocol) } : {}),
    ...(pool ? { pool } : {}),
    origin,
  };
}

function targetOf(endpoint: string): IngressTarget {
  if (endpoint === '') return { type: 'original' };
  if (endpoint.startsWith('unix://')) return { type: 'local', address: endpoint, port: 0 };
  const colon = endpoint.lastIndexOf(':');
  const address = endpoint.slice(0, colon).replace(/^\[|\]$/g, '');
  const port = Number(endpoint.slice(colon + 1));
  return address === '0.0.0.0' || address === '::'
    ? { type: 'instance', port }
    : { type: 'local', address, port };
}

/** The files of a listener's own TLS: a sidecar fetches no secrets by name for its own ports. */
export function filesOf(tls: SidecarIngressTls): {
  readonly pair: FileSecret;
  readonly anchors: FileSecret | undefined;
} {
  const asks = tls.mode === 'MUTUAL' || tls.mode === 'OPTIONAL_MUTUAL';
  return {
    pair: pairOfFiles(tls.serverCertificate ?? '', tls.privateKey ?? ''),
    anchors: asks ? anchorsOfFiles(tls.caCertificates ?? '', tls.caCrl) : undefined,
  };
}

function serverTls(tls: SidecarIngressTls, protocol: Protocol): DownstreamTls {
  const { pair, anchors } = filesOf(tls);
  const http = ['HTTP', 'HTTP2', 'GRPC', 'GRPCWeb'].includes(protocol);
  return {
    certificates: [{ type: 'secret', name: pair.name }],
    ...(anchors ? { trust: { type: 'secret' as const, name: anchors.name } } : {}),
    requireClientCertificate: tls.mode === 'MUTUAL',
    ...(anchors && tls.insecureSkipVerify ? { acceptUntrusted: true } : {}),
    subjectAltNames: tls.subjectAltNames ?? [],
    ...(tls.verifyCertificateSpki?.length ? { verifySpki: tls.verifyCertificateSpki } : {}),
    ...(tls.verifyCertificateHash?.length ? { verifyHash: tls.verifyCertificateHash } : {}),
    alpn: http ? ['h2', 'http/1.1'] : [],
    ...(tls.minProtocolVersion ? { minVersion: tls.minProtocolVersion } : {}),
    ...(tls.maxProtocolVersion ? { maxVersion: tls.maxProtocolVersion } : {}),
    ...(tls.cipherSuites?.length ? { cipherSuites: tls.cipherSuites } : {}),
  };
}

function poolOf(sidecar: Sidecar, ingress: SidecarIngress, index: number): IngressPool | undefined {
  if (ingress.connectionPool)
    return {
      settings: ingress.connectionPool,
      origin: sidecarOrigin(sidecar, `spec.ingress[${index}].connectionPool`),
    };
  const settings = sidecar.spec?.inboundConnectionPool;
  return settings && { settings, origin: sidecarOrigin(sidecar, 'spec.inboundConnectionPool') };
}

/** The Sidecar whose pool the asking proxy's ports without an ingress listener of their own have, '' for none. */
const poolOwner = defineQuery('sidecar.pool-owner', (view): Key => {
  const key = view.call(sidecarFor);
  return key !== '' && view.get(sidecarKind, key)?.spec?.inboundConnectionPool ? key : '';
});

/** The pool for connections to the application where no ingress listener says otherwise. */
export function ingressPool(view: View): IngressPool | undefined {
  const sidecar = view.get(sidecarKind, view.call(poolOwner));
  const settings = sidecar?.spec?.inboundConnectionPool;
  return sidecar && settings && { settings, origin: sidecarOrigin(sidecar, 'spec.inboundConnectionPool') };
}
