import type { ConfigObject } from '../config/object.ts';
import { holdsLabels } from '../kit/labels.ts';
import type { KubernetesService, Pod } from '../registry/schema.ts';
import { proxyContainer } from './fill-pods.ts';
import { groupOf, idOf, type ObjectMap, objectsOfKind } from './model-objects.ts';

interface GatewaySpec {
  readonly selector?: Readonly<Record<string, string>>;
  readonly servers?: readonly { readonly port?: { readonly number?: number; readonly name?: string } }[];
}

interface GatewayApiSpec {
  readonly gatewayClassName?: string;
  readonly addresses?: readonly { readonly type?: string }[];
  readonly listeners?: readonly { readonly port?: number; readonly protocol?: string }[];
  readonly infrastructure?: { readonly labels?: Readonly<Record<string, string>> };
}

const istioGateway = 'networking.istio.io/Gateway';
const apiGateway = 'gateway.networking.k8s.io/Gateway';
const gatewayClass = 'gateway.networking.k8s.io/GatewayClass';
const gatewayNameLabel = 'gateway.networking.k8s.io/gateway-name';
const controllerName = 'istio.io/gateway-controller';

/** Ports below are the system's: Istio's gateways listen on others for them. */
const translated: Readonly<Record<number, number>> = { 80: 8080, 443: 8443 };

/** Whether an object has a say in which gateway proxies there are. */
export function shapesGateways(object: ConfigObject): boolean {
  return [istioGateway, apiGateway, gatewayClass].includes(`${groupOf(object)}/${object.kind}`);
}

export interface FilledGateways {
  /** Pods without address, and Services in front of them. */
  readonly objects: readonly ConfigObject[];
  /** `namespace/name` of pods that no object and no controller speaks of. */
  readonly assumed: readonly string[];
}

/** The gateway proxies that files take for granted: of Gateways whose selector takes no pod, and of Gateway API Gateways. */
export function fillGateways(
  objects: ObjectMap,
  pods: readonly Pod[],
  rootNamespace: string,
): FilledGateways {
  const made = new Map<string, ConfigObject>();
  const assumed: string[] = [];
  const add = (object: ConfigObject) => {
    if (!objects.has(idOf(object)) && !made.has(idOf(object))) made.set(idOf(object), object);
  };
  const selectors = Map.groupBy(
    [...objectsOfKind<ConfigObject<GatewaySpec>>(objects, istioGateway)].filter(
      ({ spec }) => Object.keys(spec?.selector ?? {}).length > 0,
    ),
    ({ spec }) => JSON.stringify(Object.entries(spec?.selector ?? {}).sort()),
  );
  for (const gateways of selectors.values()) {
    const selector = gateways[0]?.spec?.selector ?? {};
    if (pods.some(({ metadata }) => holdsLabels(metadata.labels ?? {}, selector))) continue;
    const ports = gateways.flatMap(({ spec }) =>
      (spec?.servers ?? []).flatMap(({ port }) => port?.number ?? []),
    );
    const name = gatewayName(selector);
    assumed.push(`${rootNamespace}/${name}`);
    add(gatewayPod(name, rootNamespace, { app: name, ...selector }));
    add(
      gatewayService(name, rootNamespace, selector, [80, 443, ...ports], (port) => translated[port] ?? port),
    );
  }
  for (const gateway of objectsOfKind<ConfigObject<GatewayApiSpec>>(objects, apiGateway)) {
    const { metadata, spec = {} } = gateway;
    const className = spec.gatewayClassName ?? '';
    if (
      !isOurs(objects, className) ||
      (spec.addresses ?? []).some(({ type }) => (type ?? 'Hostname') === 'Hostname')
    )
      continue;
    const name = `${metadata.name}-${className}`;
    const namespace = metadata.namespace ?? '';
    const labels = { ...spec.infrastructure?.labels, [gatewayNameLabel]: metadata.name };
    if (
      pods.some(
        (pod) => pod.metadata.namespace === namespace && holdsLabels(pod.metadata.labels ?? {}, labels),
      )
    )
      continue;
    const ports = (spec.listeners ?? []).flatMap(({ port }) => port ?? []);
    add(gatewayPod(name, namespace, labels));
    add(gatewayService(name, namespace, { [gatewayNameLabel]: metadata.name }, ports, (port) => port));
  }
  return { objects: [...made.values()], assumed };
}

function isOurs(objects: ObjectMap, className: string): boolean {
  const object = objects.get(`${gatewayClass}|/${className}`)?.object;
  if (!object) return className === 'istio';
  return (object.spec as { controllerName?: string } | undefined)?.controllerName === controllerName;
}

/** As Istio's own installation calls them, where the selector is its. */
function gatewayName(selector: Readonly<Record<string, string>>): string {
  const { istio, app, ...others } = selector;
  if (istio !== undefined) return istio.startsWith('istio-') ? istio : `istio-${istio}`;
  return app ?? Object.values(others).join('-');
}

function gatewayPod(name: string, namespace: string, labels: Record<string, string>): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels },
    spec: { serviceAccountName: `${name}-service-account`, containers: [{ name: proxyContainer } as object] },
  };
}

function gatewayService(
  name: string,
  namespace: string,
  selector: Record<string, string>,
  ports: readonly number[],
  target: (port: number) => number,
): KubernetesService {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace, labels: { ...selector } },
    spec: {
      type: 'LoadBalancer',
      selector,
      ports: [...new Set(ports)].map((port) => ({
        name: `port-${port}`,
        port,
        protocol: 'TCP',
        targetPort: target(port),
      })),
    },
  };
}
