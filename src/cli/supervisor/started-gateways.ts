import type { ConfigObject } from '../../config/object.ts';
import type { GatewayPort, MeshGateway } from '../mesh-file/mesh-file.ts';
import type { InstancePlan } from './mesh-plan.ts';

/** The controller whose GatewayClasses are ours, as Istio's; a Gateway may name its class though nobody made it. */
const controllerName = 'istio.io/gateway-controller';
const builtInClass = 'istio';
/** By which a proxy is known to serve a Gateway. */
export const gatewayNameLabel = 'gateway.networking.k8s.io/gateway-name';
const gatewayClassLabel = 'gateway.networking.k8s.io/gateway-class-name';
/** Says, where they differ, which port of this machine stands for which of the Gateway's: `80=20080,443=20443`. */
export const portsAnnotation = 'networking.ostria.io/ports';

/** Each is a process with some 50 MB: a bound for accidents. */
export const mostStarted = 32;
/** Those below are the system's. */
const firstUserPort = 1_024;

interface Listener {
  readonly port?: number;
  readonly protocol?: string;
}

interface GatewaySpec {
  readonly gatewayClassName?: string;
  readonly addresses?: readonly { readonly type?: string; readonly value?: string }[];
  readonly listeners?: readonly Listener[];
  readonly infrastructure?: { readonly labels?: Readonly<Record<string, string>> };
}

interface ListenerSetSpec {
  readonly parentRef?: { readonly name?: string; readonly namespace?: string };
  readonly listeners?: readonly Listener[];
}

interface GatewayObjects {
  readonly gateways: readonly ConfigObject[];
  readonly classes: readonly ConfigObject[];
  readonly listenerSets: readonly ConfigObject[];
}

/** The Envoys that Gateways of our classes want, by age, so that a bound spares the old ones. */
export function gatewaysToStart(objects: GatewayObjects): MeshGateway[] {
  const controllers = new Map(
    objects.classes.map(({ metadata, spec }) => [
      metadata.name,
      (spec as { controllerName?: string } | undefined)?.controllerName,
    ]),
  );
  const isOurs = (name: string): boolean =>
    controllers.has(name) ? controllers.get(name) === controllerName : name === builtInClass;
  return [...objects.gateways]
    .sort((a, b) => (orderOf(a) < orderOf(b) ? -1 : 1))
    .flatMap((gateway) => {
      const { metadata, spec = {} } = gateway as ConfigObject<GatewaySpec>;
      const { gatewayClassName = '', addresses = [], listeners = [] } = spec;
      // An address that names a Service is a deployment of somebody else's.
      const manual = addresses.some(({ type }) => type === undefined || type === 'Hostname');
      if (metadata.deletionTimestamp || manual || !isOurs(gatewayClassName)) return [];
      const ports = portsOf([...listeners, ...listenersOfSets(gateway, objects.listenerSets)]);
      return ports.length === 0 ? [] : [started(gateway as ConfigObject<GatewaySpec>, ports)];
    })
    .slice(0, mostStarted);
}

function orderOf({ metadata }: ConfigObject): string {
  return `${metadata.creationTimestamp ?? ''} ${metadata.namespace}/${metadata.name}`;
}

function started({ metadata, spec }: ConfigObject<GatewaySpec>, ports: readonly GatewayPort[]): MeshGateway {
  const { name, namespace = 'default' } = metadata;
  const className = spec?.gatewayClassName ?? '';
  const workload = `${name}-${className}`;
  return {
    name: workload,
    namespace,
    serviceAccount: workload,
    labels: {
      ...spec?.infrastructure?.labels,
      [gatewayNameLabel]: name,
      [gatewayClassLabel]: className,
    },
    ports,
    startedFor: `${namespace}/${name}`,
  };
}

function listenersOfSets(gateway: ConfigObject, sets: readonly ConfigObject[]): Listener[] {
  const { name, namespace } = gateway.metadata;
  return sets.flatMap((set) => {
    const { parentRef, listeners = [] } = (set.spec ?? {}) as ListenerSetSpec;
    const parent = parentRef?.namespace ?? set.metadata.namespace;
    return parentRef?.name === name && parent === namespace ? listeners : [];
  });
}

/** One per number; a name as Istio gives it. */
function portsOf(listeners: readonly Listener[]): GatewayPort[] {
  const ports = new Map<number, GatewayPort>();
  for (const { port, protocol = 'tcp' } of listeners)
    if (port !== undefined && !ports.has(port))
      ports.set(port, {
        name: `${protocol.toLowerCase()}-${port}`,
        port,
        ...(port >= firstUserPort ? { preferred: port } : {}),
      });
  return [...ports.values()].sort((a, b) => a.port - b.port);
}

/** `80=20080`, of the ports that have another number on this machine; '' for none. */
export function mappedPorts({ endpoints }: Pick<InstancePlan, 'endpoints'>): string {
  return endpoints
    .filter(({ servicePort, listen }) => servicePort !== listen)
    .map(({ servicePort, listen }) => `${servicePort}=${listen}`)
    .join(',');
}
