import { stringify } from 'yaml';
import type { ConfigObject } from '../../../src/config/object.ts';
import type { Pair } from './certificates.ts';

interface Ref {
  group?: string;
  kind?: string;
  name: string;
  namespace?: string;
  port?: number;
}

interface Rule {
  backendRefs?: Ref[];
  filters?: { requestMirror?: { backendRef: Ref } }[];
}

/** Names that must lead nowhere. */
const missing = /nonexist|not-exist|not-found|no-such|unknown|fake|missing|^grpcbin$/;
/** Ports of the ingress gateway's Service in the peer's tests. */
const ingressPorts = [80, 443, 34000, 34001];

/** What the peer's tests have beside their input: Services, Secrets, ConfigMaps and namespaces, made in its code. */
export function conversionRegistry(input: readonly ConfigObject[], pair: Pair): string[] {
  const services = new Map<string, Set<number>>();
  const add = (namespace: string, name: string, port: number): void => {
    const key = `${namespace}/${name}`;
    services.set(key, (services.get(key) ?? new Set()).add(port));
  };
  for (const port of ingressPorts) add('istio-system', 'istio-ingressgateway', port);
  for (const object of input) {
    // The peer's test registers what it makes of pools for its own namespace alone.
    const picker = (object.spec as { endpointPickerRef?: { name: string; port: { number: number } } })
      ?.endpointPickerRef;
    if (picker && object.metadata.namespace === 'default') add('default', picker.name, picker.port.number);
    const own = object.metadata.namespace ?? 'default';
    const spec = (object.spec ?? {}) as { rules?: Rule[]; parentRefs?: Ref[]; targetRefs?: Ref[] };
    const refs = (spec.rules ?? []).flatMap(({ backendRefs = [], filters = [] }) => [
      ...backendRefs,
      ...filters.flatMap(({ requestMirror }) => requestMirror?.backendRef ?? []),
    ]);
    for (const ref of [...refs, ...(spec.parentRefs ?? []), ...(spec.targetRefs ?? [])])
      if ((ref.kind ?? (refs.includes(ref) ? 'Service' : 'Gateway')) === 'Service' && !missing.test(ref.name))
        if (!/^ns\d$/.test(own)) add(ref.namespace ?? own, ref.name, ref.port ?? 80);
  }
  const made = [...services].filter(
    ([key]) =>
      !input.some(
        (object) =>
          object.kind === 'Service' &&
          `${object.metadata.namespace ?? 'default'}/${object.metadata.name}` === key,
      ),
  );
  return [...made.map(([key, ports]) => service(key, [...ports])), ...secrets(pair), ...namespaces].map(
    (object) => stringify(object),
  );
}

function service(key: string, ports: readonly number[]): object {
  const [namespace, name] = key.split('/');
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace, name },
    spec: { ports: ports.map((port) => ({ name: port === 443 ? 'https' : `http-${port}`, port })) },
    ...(name === 'istio-ingressgateway'
      ? { status: { loadBalancer: { ingress: [{ ip: '1.2.3.4' }] } } }
      : {}),
  };
}

const base64 = (text: string) => Buffer.from(text).toString('base64');

function secrets({ certificate, key }: Pair): object[] {
  const secret = (namespace: string, name: string, data: Record<string, string>) => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { namespace, name },
    data: Object.fromEntries(Object.entries(data).map(([field, text]) => [field, base64(text)])),
  });
  const map = (namespace: string, name: string, text: string) => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { namespace, name },
    data: { 'ca.crt': text },
  });
  const good = { 'tls.crt': certificate, 'tls.key': key, 'ca.crt': certificate };
  return [
    ...['my-cert-http', 'my-cert-http2', 'my-cert-mtls', 'auth-cert'].map((name) =>
      secret('istio-system', name, good),
    ),
    secret('cert', 'cert', good),
    ...['ns2', 'ns3', 'ns4'].map((name) => secret(name, `${name}-cert`, good)),
    secret('bookinfo', 'bookinfo-secret', good),
    secret('istio-system', 'malformed', { 'tls.crt': 'nonsense', 'tls.key': 'nonsense' }),
    map('istio-system', 'auth-cert', certificate),
    map('istio-system', 'my-cert-http', certificate),
    map('default', 'auth-cert', certificate),
    map('istio-system', 'malformed', 'nonsense'),
    map('default', 'malformed', 'nonsense'),
  ];
}

const namespaces = ['istio-system', 'default', 'group-namespace1', 'group-namespace2', 'apple', 'banana'].map(
  (name) => ({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name, labels: { 'istio.io/test-name-part': name.startsWith('group') ? 'group' : name } },
  }),
);
