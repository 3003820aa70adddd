import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { roots } from '../../src/pipeline/roots.ts';
import { defaultMeshConfig, overlayMeshConfig } from '../../src/registry/mesh-config.ts';
import type { Endpoint, MeshService } from '../../src/registry/service.ts';
import type { Call } from '../../src/simulate/call.ts';
import { DecodedResources } from '../../src/simulate/decoded-resources.ts';
import { simulate } from '../../src/simulate/simulate.ts';
import { parseProxy } from '../../src/snapshot/proxy.ts';
import { rebuild } from '../../src/snapshot/rebuild.ts';
import type { World } from '../../src/snapshot/world.ts';
import { worldOfYaml } from '../support/mesh-world.ts';

export interface CaseOutcome {
  name: string;
  outcome: 'passed' | 'failed' | 'skipped';
  why?: string;
}

interface RecordedCall {
  name: string;
  effectiveCall: {
    address: string;
    port: number;
    path: string;
    protocol?: string;
    tls: Call['tls'];
    hostHeader?: string;
    sni?: string;
    alpn?: string;
    mode?: string;
  };
  expect: Record<string, string | boolean | undefined>;
}

interface RecordedCase {
  name: string;
  config: string;
  kubeConfig?: string;
  meshConfig?: Record<string, unknown>;
  env?: Record<string, string>;
  services?: {
    address: string;
    hostname: string;
    ports: { name: string; port: number; protocol: string }[];
  }[];
  instances?: { addresses: string[]; endpointPort: number; service: string; servicePort: number }[];
  proxy: {
    type: string;
    ipAddresses: string[];
    id: string;
    dnsDomain: string;
    labels?: Record<string, string>;
    metadata: Record<string, unknown>;
  };
  calls: RecordedCall[];
}

/** Cases that enshrine bugs of the peer, by the data's own README, and limits of Envoy. */
const peerBugs: Readonly<Record<string, string>> = {
  'TestGatewayConflicts/duplicate_tls_gateway': 'expects filter chains that Envoy refuses',
};

/** Runs `routing/cases.json`; a case passes when all of its calls answer as recorded. */
export function runRoutingCases(directory: string): CaseOutcome[] {
  const cases = JSON.parse(readFileSync(join(directory, 'routing', 'cases.json'), 'utf8')) as RecordedCase[];
  return cases.map((recorded) => runCase(recorded));
}

function runCase(recorded: RecordedCase): CaseOutcome {
  const { name } = recorded;
  const bug = peerBugs[name];
  if (bug) return { name, outcome: 'skipped', why: bug };
  try {
    const resources = compileCase(recorded);
    const differences = recorded.calls.flatMap((call) => differencesOf(resources, call));
    return differences.length === 0
      ? { name, outcome: 'passed' }
      : { name, outcome: 'failed', why: differences.join('; ') };
  } catch (error) {
    return { name, outcome: 'failed', why: error instanceof Error ? error.message : String(error) };
  }
}

function compileCase(recorded: RecordedCase): DecodedResources {
  const mesh = overlayMeshConfig(defaultMeshConfig, recorded.meshConfig ?? {});
  const world = worldOfYaml([recorded.config, recorded.kubeConfig ?? ''], mesh);
  addCodeRegistry(world, recorded);
  const { proxy: node } = recorded;
  const namespace = String(node.metadata.NAMESPACE ?? 'default');
  const parsed = parseProxy(
    {
      id: `${node.type}~${node.ipAddresses[0]}~${node.id}~${namespace}.svc.cluster.local`,
      cluster: 'test',
      metadata: {
        ...node.metadata,
        LABELS: node.labels ?? node.metadata.LABELS ?? {},
        NAMESPACE: namespace,
        INSTANCE_IPS: node.ipAddresses.join(','),
      },
    },
    { vhds: true },
  );
  if (!parsed.ok) throw new Error(parsed.error);
  const failures: string[] = [];
  const set = rebuild(world, mesh, parsed.proxy, roots.collections, {
    onFailure: ({ collection, key, error }) =>
      failures.push(`${collection}(${key ?? ''}): ${error instanceof Error ? error.message : String(error)}`),
  });
  if (failures.length > 0) throw new Error(`compile failed: ${failures.join('; ')}`);
  return new DecodedResources(set);
}

/** Services and instances that the peer's test made in code. */
function addCodeRegistry(world: World, recorded: RecordedCase): void {
  for (const service of recorded.services ?? []) {
    const namespace = service.hostname.split('.')[1] ?? 'default';
    const key = `${namespace}/${service.hostname}`;
    const value: MeshService = {
      hostname: service.hostname,
      namespace,
      name: service.hostname.split('.')[0] ?? '',
      source: 'kubernetes',
      ports: service.ports.map(({ name, port, protocol }) => ({
        name,
        port,
        protocol: protocol === 'HTTP' ? 'HTTP' : 'TCP',
      })),
      resolution: 'static',
      external: false,
      addresses: [service.address],
      exportTo: ['*'],
      subjectAltNames: [],
      labels: {},
      publishNotReady: false,
      sessionAffinity: false,
      trafficDistribution: 'any',
      createdAt: '',
      origin: { kind: 'Service', namespace, name: service.hostname, path: '' },
    };
    const endpoints = (recorded.instances ?? [])
      .filter((instance) => instance.service === service.hostname)
      .flatMap((instance) =>
        instance.addresses.map(
          (address): Endpoint => ({
            address,
            port: instance.endpointPort,
            servicePort: instance.servicePort,
            labels: {},
            locality: '',
            network: '',
            clusterId: 'Kubernetes',
            weight: 0,
            serviceAccount: '',
            namespace,
            workload: '',
            tlsMode: 'disabled',
            healthy: true,
            nodeName: '',
          }),
        ),
      );
    world.apply([
      { kind: 'service', key, value },
      { kind: 'endpoints', key, value: { hostname: service.hostname, namespace, endpoints } },
    ]);
  }
}

function differencesOf(resources: DecodedResources, recorded: RecordedCall): string[] {
  const { effectiveCall: call, expect } = recorded;
  // The records hold no Secrets.
  const result = simulate(
    resources,
    {
      address: call.address,
      port: call.port,
      mode: call.mode === 'inbound' ? 'inbound' : 'outbound',
      protocol: call.protocol === 'http2' ? 'http2' : call.protocol === 'http' ? 'http' : 'tcp',
      // Only TLS carries a server name: a recorded plaintext call that names one is meant as TLS.
      tls: call.tls === 'plaintext' && call.sni !== undefined ? 'tls' : call.tls,
      path: call.path,
      ...(call.hostHeader !== undefined ? { host: call.hostHeader } : {}),
      ...(call.sni !== undefined ? { sni: call.sni } : {}),
      ...(call.alpn !== undefined ? { alpn: call.alpn } : {}),
    },
    { withoutSecrets: true },
  );
  const differences: string[] = [];
  const want = (field: string, actual: string | undefined): void => {
    const expected = expect[field];
    if (expected === undefined) {
      if (field === 'error' && actual !== undefined)
        differences.push(`${recorded.name}: error ${actual}, none expected`);
      return;
    }
    if (field === 'error' && refusesPlaintext(call, expected) && refusesPlaintext(call, actual)) return;
    if (
      comparable(field, String(expected), result.routeConfig) !==
      comparable(field, actual ?? '', result.routeConfig)
    )
      differences.push(`${recorded.name}: ${field} is ${actual ?? 'absent'}, recorded ${expected}`);
  };
  for (const field of ['error', 'listener', 'routeConfig', 'virtualHost', 'cluster'] as const)
    want(field, result[field]);
  return differences;
}

/** Where mTLS alone is taken, the peer has no chain for plaintext and we have no inspector: the handshake fails. It is refused either way. */
function refusesPlaintext(call: RecordedCall['effectiveCall'], error: unknown): boolean {
  return (
    call.mode === 'inbound' &&
    call.tls === 'plaintext' &&
    (error === 'no filter chains matched' || error === 'invalid TLS')
  );
}

/**
 * Names are each mesh's own: the peer's tests run with an empty domain suffix, and our virtual hosts carry their route
 * configuration in front.
 */
function comparable(field: string, name: string, routeConfig: string | undefined): string {
  if (field === 'cluster') return name.replace('.svc.cluster.local', '');
  if (field === 'virtualHost' && routeConfig && name.startsWith(`${routeConfig}/`))
    return name.slice(routeConfig.length + 1);
  return name;
}
