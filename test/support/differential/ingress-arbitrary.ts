import type { ConfigObject } from '../../../src/config/object.ts';
import type { Random } from '../../../src/snapshot/engine/testing/random.ts';
import { maybe, some } from '../draw.ts';

/*
 * Kubernetes' Ingress, at the gateway's ports 80 and 443, out of the words of traffic-arbitrary.ts.
 */

const hosts = ['api.example.com', 'x.example.com', '*.example.com', 'other.example.org'];

function backend(random: Random): object {
  if (random.chance(0.05)) return { resource: { apiGroup: 'example.com', kind: 'Bucket', name: 'files' } };
  return {
    service: {
      name: random.pick(['web', 'web', 'cart', 'nobody']),
      port: random.pick([{ number: 80 }, { number: 80 }, { number: 8080 }, { name: 'http' }]),
    },
  };
}

function path(random: Random): object {
  return {
    ...maybe(random, 0.9, () => ({
      path: random.pick(['/', '/a', '/a/', '/a/b', '/b', '/v1', '/a/*', '/b.*']),
    })),
    pathType: random.pick(['Prefix', 'Prefix', 'Exact', 'ImplementationSpecific']),
    backend: backend(random),
  };
}

function ingress(random: Random, index: number): ConfigObject {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'Ingress',
    metadata: {
      name: `ingress${index}`,
      namespace: random.pick(['shop', 'shop', 'bank']),
      creationTimestamp: random.pick(['2026-01-01T00:00:00Z', '2026-02-01T00:00:00Z']),
    },
    spec: {
      ingressClassName: random.pick(['istio', 'istio', 'istio', 'nginx']),
      ...maybe(random, 0.3, () => ({ defaultBackend: backend(random) })),
      ...maybe(random, 0.5, () => ({
        tls: [{ hosts: some(random, hosts, 0.5), secretName: random.pick(['front', 'front', 'missing']) }],
      })),
      rules: Array.from({ length: 1 + random.below(2) }, () => ({
        ...maybe(random, 0.85, () => ({ host: random.pick(hosts) })),
        http: { paths: Array.from({ length: 1 + random.below(3) }, () => path(random)) },
      })),
    },
  };
}

/** Ingresses in about a quarter of configurations. */
export function randomIngress(random: Random): ConfigObject[] {
  return random.chance(0.75)
    ? []
    : Array.from({ length: 1 + random.below(3) }, (_, index) => ingress(random, index));
}
