import type { ConfigObject } from '../../../src/config/object.ts';
import type { Random } from '../../../src/snapshot/engine/testing/random.ts';
import type { Judge } from '../authorization-servers.ts';
import { maybe } from '../draw.ts';
import type { TrafficRequest } from '../traffic-arbitrary.ts';

/*
 * Authorization servers, asked by filters of HTTPRoutes and by policies of action CUSTOM. In a namespace that no other object of the
 * vocabulary speaks of.
 */

const checker = { name: 'checker', port: 8000 };
const engine = { name: 'engine', port: 8001 };
export const authorizerHosts = [checker, engine].map(({ name }) => `${name}.auth.svc.cluster.local`);

/** What every server answers: deletions are refused. Its headers change nothing that the test looks at. */
export const judge: Judge = ({ method }) => ({ allowed: method !== 'DELETE', status: 403, headers: {} });

/** The same, as simulations take it. */
export function verdictsOn({ method }: Pick<TrafficRequest, 'method'>): Record<string, 'allow' | 'deny'> {
  const verdict = method === 'DELETE' ? 'deny' : 'allow';
  return Object.fromEntries([checker.name, engine.name, ...authorizerHosts].map((name) => [name, verdict]));
}

/** As a mesh configuration names them. */
export const providers = [
  { name: checker.name, envoyExtAuthzHttp: { service: authorizerHosts[0] ?? '', port: checker.port } },
  { name: engine.name, envoyExtAuthzGrpc: { service: authorizerHosts[1] ?? '', port: engine.port } },
];

/** The servers as services; they are there all the time. */
export function authorizerObjects(httpPort: number, grpcPort: number): ConfigObject[] {
  const service = ({ name, port }: typeof checker, portName: string, at: number): ConfigObject[] => [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, namespace: 'auth' },
      spec: { clusterIP: 'None', selector: { app: name }, ports: [{ name: portName, port }] },
    },
    {
      apiVersion: 'networking.istio.io/v1',
      kind: 'WorkloadEntry',
      metadata: { name, namespace: 'auth' },
      spec: { address: '127.0.0.1', ports: { [portName]: at }, labels: { app: name } },
    },
  ];
  const grant: ConfigObject = {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'ReferenceGrant',
    metadata: { name: 'shop', namespace: 'auth' },
    spec: {
      from: [{ group: 'gateway.networking.k8s.io', kind: 'HTTPRoute', namespace: 'shop' }],
      to: [{ group: '', kind: 'Service' }],
    },
  };
  return [...service(checker, 'http', httpPort), ...service(engine, 'grpc', grpcPort), grant];
}

function filter(random: Random): object {
  const [protocol, { name, port }] = random.pick([['HTTP', checker] as const, ['GRPC', engine] as const]);
  return {
    type: 'ExternalAuth',
    externalAuth: {
      protocol,
      backendRef: { name: random.chance(0.95) ? name : 'nobody', namespace: 'auth', port },
      ...maybe(random, 0.3, () =>
        protocol === 'HTTP'
          ? { http: { path: '/check', allowedHeaders: ['x-user'] } }
          : { grpc: { allowedHeaders: ['x-user'] } },
      ),
    },
  };
}

interface Rule {
  readonly filters?: readonly object[];
  readonly backendRefs?: readonly { readonly filters?: readonly object[] }[];
}

function asking(random: Random, rule: Rule): Rule {
  const { filters = [], backendRefs } = rule;
  return {
    ...rule,
    ...maybe(random, 0.25, () => ({ filters: [...filters, filter(random)] })),
    ...(backendRefs
      ? {
          backendRefs: backendRefs.map((backend) => ({
            ...backend,
            ...maybe(random, 0.08, () => ({ filters: [...(backend.filters ?? []), filter(random)] })),
          })),
        }
      : {}),
  };
}

/** The configuration with rules and policies that ask. */
export function withAuthorizers(random: Random, config: readonly ConfigObject[]): ConfigObject[] {
  return config.map((object) => {
    if (object.kind === 'HTTPRoute') {
      const { rules, ...spec } = object.spec as { readonly rules: readonly Rule[] };
      return { ...object, spec: { ...spec, rules: rules.map((rule) => asking(random, rule)) } };
    }
    const spec = object.spec as { readonly action?: string };
    const isCustom = object.kind === 'AuthorizationPolicy' && spec.action === 'CUSTOM';
    if (!isCustom || random.chance(0.3)) return object;
    return {
      ...object,
      spec: { ...spec, provider: { name: random.pick([checker.name, engine.name]) } },
    };
  });
}
