import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { VirtualHost } from '../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import { roots } from '../../src/pipeline/roots.ts';
import { defaultMeshConfig } from '../../src/registry/mesh-config.ts';
import { DecodedResources } from '../../src/simulate/decoded-resources.ts';
import { parseProxy } from '../../src/snapshot/proxy.ts';
import { rebuild } from '../../src/snapshot/rebuild.ts';
import { worldOfYaml } from '../support/mesh-world.ts';
import type { CaseOutcome } from './group.ts';

interface RecordedHosts {
  name: string;
  config: string;
  proxyNamespace: string;
  routeName: string;
  /** Host → clusters of its routes; null: there is no such host. The whole field null: nothing is asserted. */
  expectedHostClusters: Record<string, string[] | null> | null;
}

/** `routing/host-clusters.json`: which hosts a sidecar's route configuration has, and where they lead. */
export function runHostClusters(directory: string): CaseOutcome[] {
  const cases = JSON.parse(
    readFileSync(join(directory, 'routing', 'host-clusters.json'), 'utf8'),
  ) as RecordedHosts[];
  return cases.map(runCase);
}

function runCase(recorded: RecordedHosts): CaseOutcome {
  const { name } = recorded;
  try {
    const hosts = hostClusters(recorded);
    const wrong = Object.entries(recorded.expectedHostClusters ?? {}).flatMap(([host, clusters]) => {
      const actual = hosts.get(host);
      if (JSON.stringify(actual ?? null) === JSON.stringify(clusters)) return [];
      return [`${host} leads to ${JSON.stringify(actual ?? null)}, recorded ${JSON.stringify(clusters)}`];
    });
    return wrong.length === 0
      ? { name, outcome: 'passed' }
      : { name, outcome: 'failed', why: wrong.join('; ') };
  } catch (error) {
    return { name, outcome: 'failed', why: error instanceof Error ? error.message : String(error) };
  }
}

function hostClusters(recorded: RecordedHosts): Map<string, string[]> {
  const namespace = recorded.proxyNamespace;
  const parsed = parseProxy(
    {
      id: `sidecar~1.1.1.1~app.${namespace}~${namespace}.svc.cluster.local`,
      cluster: 'test',
      metadata: { NAMESPACE: namespace },
    },
    { vhds: true },
  );
  if (!parsed.ok) throw new Error(parsed.error);
  const world = worldOfYaml([recorded.config]);
  const resources = new DecodedResources(
    rebuild(world, defaultMeshConfig, parsed.proxy, roots.collections, {
      onFailure: ({ error }) => {
        throw error;
      },
    }),
  );
  const routes = resources.routeConfiguration(recorded.routeName);
  const found = new Map<string, string[]>();
  for (const host of routes ? resources.virtualHosts(routes) : [])
    for (const domain of host.domains) found.set(domain, clustersOf(host));
  return found;
}

function clustersOf(host: VirtualHost): string[] {
  return host.routes.flatMap(({ action }) => {
    if (action.case !== 'route') return [];
    const specifier = action.value.clusterSpecifier;
    if (specifier.case === 'cluster') return [specifier.value];
    return specifier.case === 'weightedClusters' ? specifier.value.clusters.map(({ name }) => name) : [];
  });
}
