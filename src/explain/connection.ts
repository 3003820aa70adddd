import type { Cluster } from '../../gen/proto/envoy/config/cluster/v3/cluster_pb.js';
import type { Model, ModelWorkload } from '../model/model.ts';
import type { Call } from '../simulate/call.ts';
import { isExpected, type UpstreamConnection } from '../simulate/upstream.ts';
import { answered, originIn } from '../simulate/walk.ts';
import { textWords } from '../simulate/words.ts';
import type { Decision, DecisionPlace } from './explanation.ts';
import { flag } from './flags.ts';
import { type Hop, identityOf } from './hop.ts';
import type { End } from './leaf.ts';
import { decidedBy, listed } from './words.ts';

/** The secret that holds a workload's own certificate. */
const workloadSecret = 'default';

/** What the connection to an endpoint is wrapped in, and as whom the proxy calls. */
export function connectionDecision(
  model: Model,
  hop: Hop,
  at: DecisionPlace,
  cluster: Cluster,
  connection: UpstreamConnection,
  identity: string,
  workload: ModelWorkload | undefined,
): Decision {
  const origin = connection.tls === 'plaintext' ? undefined : originIn(cluster.metadata);
  return {
    at,
    stage: 'mtls',
    what: `the connection is made ${connectionWords(hop, connection, identity, workload)}`,
    ...(origin ? { by: decidedBy(model, origin) } : {}),
    lost: [],
  };
}

function connectionWords(
  { call }: Hop,
  { tls, certificate, sni }: UpstreamConnection,
  identity: string,
  workload: ModelWorkload | undefined,
): string {
  if (tls === 'mtls')
    return `by mutual TLS, as ${certificate === workloadSecret ? identity : `the certificate ${certificate}`}`;
  if (tls === 'tls') return `by TLS${sni === undefined ? '' : ` to ${sni}`}`;
  if (call.tls !== 'plaintext') return 'as it came, in the TLS of the application';
  return workload && !workload.proxy
    ? `in plaintext: ${workload.workload.name} has no sidecar`
    : 'in plaintext';
}

/** Why no connection comes about, as far as both ends' certificates tell; undefined: it does. */
export function connectionTrouble(
  { mesh }: Model,
  connection: UpstreamConnection,
  workload: ModelWorkload,
  /** Of requests that the client's proxy sees. */
  call: Call | undefined,
): End | undefined {
  if (connection.tls === 'plaintext' || connection.certificate !== workloadSecret) return undefined;
  const name = workload.workload.controller ?? workload.workload.name;
  const failure = (reason: string, mend: string): End => ({
    outcome: 'fails',
    ...(call ? answered(call, 503) : {}),
    reason,
    flags: [flag('UF', mend)],
  });
  if (!workload.proxy)
    return failure(
      `the client speaks mutual TLS, and ${name} has no sidecar that understands it`,
      `give ${name} a sidecar, or let the DestinationRule use tls mode DISABLE for it`,
    );
  const identity = identityOf(mesh.trustDomain, workload);
  if (isExpected(connection, identity)) return undefined;
  return failure(
    `${name} proves to be ${identity}, and the client expects ${listed(connection.expectedNames.map(textWords))}`,
    'let subjectAltNames of the DestinationRule or ServiceEntry name the service account',
  );
}
