import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  demandOn,
  type MtlsDemand,
  ownDemand,
  parseDemand,
} from '../../src/features/security/peer-authentication/schema.ts';
import { roots } from '../../src/pipeline/roots.ts';
import { defaultMeshConfig } from '../../src/registry/mesh-config.ts';
import { DecodedResources } from '../../src/simulate/decoded-resources.ts';
import { simulate } from '../../src/simulate/simulate.ts';
import { defineCollection, defineQuery } from '../../src/snapshot/query.ts';
import { rebuild } from '../../src/snapshot/rebuild.ts';
import type { Resource } from '../../src/snapshot/resource.ts';
import { makeProxy } from '../golden/mesh.ts';
import { worldOfYaml } from '../support/mesh-world.ts';
import type { CaseOutcome } from './group.ts';
import { jwtDifference } from './jwt.ts';

interface RecordedCase {
  name: string;
  group: string;
  policies: { metadata: { namespace: string; name: string } }[];
  rootNamespace: string;
  port?: number;
  workloadLabels?: Record<string, string>;
  expectedMode: string;
  expectedPerPort?: Record<string, string>;
  expectedTcpTlsContext?: object | null;
  expectedHttpTlsContext?: object | null;
}

let demand: MtlsDemand | undefined;
const capture = defineCollection<Resource>(
  'conformance.demand',
  defineQuery('conformance.demand-keys', () => ['all']),
  defineQuery('conformance.demand-item', (view, _key: string) => {
    demand = parseDemand(view.call(ownDemand));
    return undefined;
  }),
);

/** Runs `authz/authn-cases.json`. */
export function runAuthnCases(directory: string): CaseOutcome[] {
  const cases = JSON.parse(
    readFileSync(join(directory, 'authz', 'authn-cases.json'), 'utf8'),
  ) as RecordedCase[];
  return cases.map((recorded) => {
    const { name, group } = recorded;
    const isJwt = group === 'jwtFilter' || group === 'jwtConfig';
    const why = isJwt ? jwtDifference(recorded) : differencesOf(recorded).join('; ') || undefined;
    return why === undefined ? { name, outcome: 'passed' } : { name, outcome: 'failed', why };
  });
}

/** A workload with an HTTP and a TCP port, as its own service declares them. */
function service(namespace: string, httpPort: number, tcpPort: number): string {
  return JSON.stringify({
    apiVersion: 'networking.istio.io/v1',
    kind: 'ServiceEntry',
    metadata: { name: 'own', namespace },
    spec: {
      hosts: ['own.example'],
      location: 'MESH_INTERNAL',
      resolution: 'STATIC',
      endpoints: [{ address: '1.1.1.1' }],
      ports: [
        { name: 'http', number: httpPort, protocol: 'HTTP' },
        { name: 'tcp', number: tcpPort, protocol: 'TCP' },
      ],
    },
  });
}

function differencesOf(recorded: RecordedCase): string[] {
  const { policies, rootNamespace, port = 8080 } = recorded;
  const namespace =
    policies.find((p) => p.metadata.namespace !== rootNamespace)?.metadata.namespace ?? 'my-ns';
  const mesh = { ...defaultMeshConfig, rootNamespace };
  const differences: string[] = [];
  const want = (what: string, actual: unknown, expected: unknown): void => {
    if (actual !== expected) differences.push(`${what} is ${actual}, recorded ${expected}`);
  };
  for (const protocol of ['http', 'tcp'] as const) {
    const world = worldOfYaml(
      [
        service(namespace, protocol === 'http' ? port : 1, protocol === 'tcp' ? port : 1),
        ...policies.map((policy) => JSON.stringify(policy)),
      ],
      mesh,
    );
    const labels = recorded.workloadLabels ?? { app: 'foo', stage: 'prod' };
    const proxy = makeProxy({ namespace, ip: '1.1.1.1', labels });
    const set = rebuild(world, mesh, proxy, [...roots.collections, capture]);
    want('the mode', demand && demandOn(demand, port).mode, recorded.expectedMode);
    for (const [own, mode] of Object.entries(recorded.expectedPerPort ?? {}))
      want(`the mode of ${own}`, demand?.ports[own]?.mode, mode);
    const resources = new DecodedResources(set);
    const call = { address: '1.1.1.1', port, mode: 'inbound', protocol, path: '/' } as const;
    const plain = simulate(resources, { ...call, tls: 'plaintext' });
    want(`${protocol} in the clear`, plain.error === undefined, recorded.expectedMode !== 'STRICT');
    const context = protocol === 'http' ? recorded.expectedHttpTlsContext : recorded.expectedTcpTlsContext;
    if (context === undefined) continue;
    const secured = simulate(resources, { ...call, tls: 'mtls', alpn: 'istio' });
    want(`${protocol} with mTLS`, secured.filterChain === `${port}-mtls` && !secured.error, context !== null);
  }
  return differences;
}
