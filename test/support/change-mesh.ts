import type { ConfigObject } from '../../src/config/object.ts';

/*
 * The mesh that changes are made to: services of several protocols, workloads with and without sidecars, and callers.
 */

export const objectOf = (
  apiVersion: string,
  kind: string,
  name: string,
  namespace: string,
  rest: object,
): ConfigObject => ({ apiVersion, kind, metadata: { name, namespace }, ...rest }) as ConfigObject;

const apps = [
  { name: 'web', namespace: 'shop', versions: ['v1', 'v2'] },
  { name: 'cart', namespace: 'shop', versions: ['v1'] },
  { name: 'web', namespace: 'bank', versions: ['v1', 'v2'] },
] as const;

export const namespaceObject = (name: string, injected = true): ConfigObject =>
  ({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name, labels: { 'istio-injection': injected ? 'enabled' : 'disabled' } },
  }) as ConfigObject;

export function deployment(
  name: string,
  namespace: string,
  labels: Record<string, string>,
  account: string,
  sidecar = true,
): ConfigObject {
  const metadata = { labels, annotations: sidecar ? {} : { 'sidecar.istio.io/inject': 'false' } };
  return objectOf('apps/v1', 'Deployment', name, namespace, {
    spec: {
      selector: { matchLabels: labels },
      template: { metadata, spec: { serviceAccountName: account, containers: [{ name: 'app' }] } },
    },
  });
}

export const httpService = (name: string, namespace: string, app = name): ConfigObject =>
  objectOf('v1', 'Service', name, namespace, {
    spec: {
      selector: { app },
      ports: [
        { name: 'http', port: 80, targetPort: 8000 },
        { name: 'http-more', port: 8080, targetPort: 8001 },
      ],
    },
  });

/** Services and workloads of HTTP, and callers. */
export function standing(): ConfigObject[] {
  return [
    ...['shop', 'bank'].map((name) => namespaceObject(name)),
    ...apps.flatMap(({ name, namespace, versions }) => [
      httpService(name, namespace),
      ...versions.map((version) =>
        deployment(`${name}-${version}`, namespace, { app: name, version }, `${name}`),
      ),
    ]),
    deployment('client', 'shop', { app: 'client' }, 'client'),
    deployment('client', 'bank', { app: 'client' }, 'teller'),
    deployment('plain', 'shop', { app: 'plain' }, 'plain', false),
  ];
}

/** Settings of the mesh; `gate` is an external authorizer. */
export function meshSettings(more = ''): ConfigObject {
  const mesh = `extensionProviders:
- name: gate
  envoyExtAuthzGrpc: { service: cart.shop.svc.cluster.local, port: 7070 }
${more}`;
  return objectOf('v1', 'ConfigMap', 'istio', 'istio-system', { data: { mesh } });
}

export const secret = (): ConfigObject =>
  objectOf('v1', 'Secret', 'front', 'istio-system', {
    type: 'kubernetes.io/tls',
    data: { 'tls.crt': 'Y2VydGlmaWNhdGU=', 'tls.key': 'a2V5', 'ca.crt': 'Y2E=' },
  });

/** Beside HTTP: gRPC and TCP, a service without an address of its own, and what gateways need. */
export function standingOfAllKinds(): ConfigObject[] {
  const rest = standing().filter(({ kind, metadata }) => !(kind === 'Service' && metadata.name === 'cart'));
  return [
    ...rest,
    objectOf('v1', 'Service', 'cart', 'shop', {
      spec: {
        selector: { app: 'cart' },
        ports: [
          { name: 'http', port: 80, targetPort: 8000 },
          { name: 'http-more', port: 8080, targetPort: 8001 },
          { name: 'grpc', port: 7070, targetPort: 7070 },
          { name: 'tcp-raw', port: 9000, targetPort: 9000 },
        ],
      },
    }),
    objectOf('v1', 'Service', 'peers', 'shop', {
      spec: {
        clusterIP: 'None',
        selector: { app: 'web' },
        ports: [
          { name: 'http', port: 8000 },
          { name: 'tcp', port: 9001 },
        ],
      },
    }),
    meshSettings(),
    secret(),
  ];
}
