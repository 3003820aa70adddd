import { compareText } from '../../../kit/maps.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import { allIngresses, type Ingress, ingressClassKind, ingressKind } from './kinds.ts';

const classAnnotation = 'kubernetes.io/ingress.class';
/** By which an IngressClass names Istio's controller. */
const istioController = 'istio.io/ingress-controller';

/** MeshConfig's ingress settings. */
export const ingressSettings = defineQuery('ingress.settings', (view) => {
  const { ingressControllerMode, ingressClass, ingressSelector, ingressService } = view.mesh('extra');
  const text = (value: unknown, otherwise: string): string =>
    typeof value === 'string' && value !== '' ? value : otherwise;
  return {
    mode: text(ingressControllerMode, 'STRICT'),
    class: text(ingressClass, 'istio'),
    selector: text(ingressSelector, 'ingressgateway'),
    service: text(ingressService, 'istio-ingressgateway'),
  };
});

/**
 * Whether an Ingress is ours: by the annotation, by its class's controller, or, in mode DEFAULT, for lack of any class. A class that no
 * object describes is ours when it has the name of the annotation's.
 * @see https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/#MeshConfig-IngressControllerMode
 */
export const isOurIngress = defineQuery('ingress.is-ours', (view, key: Key): boolean => {
  const ingress = view.get(ingressKind, key);
  const settings = view.call(ingressSettings);
  if (!ingress || settings.mode === 'OFF') return false;
  const annotation = ingress.metadata.annotations?.[classAnnotation];
  if (annotation !== undefined) return annotation === settings.class;
  const name = ingress.spec?.ingressClassName;
  if (name === undefined) return settings.mode === 'DEFAULT';
  const described = view.get(ingressClassKind, `/${name}`);
  return described ? described.spec?.controller === istioController : name === settings.class;
});

/** Oldest first, then by namespace and name. */
export const ownIngresses = defineQuery('ingress.own', (view): readonly Key[] =>
  view
    .list(allIngresses, '')
    .filter((key) => view.call(isOurIngress, key))
    .map((key) => ({ key, order: orderOf(view.get(ingressKind, key)) }))
    .sort((a, b) => compareText(a.order, b.order))
    .map(({ key }) => key),
);

function orderOf(ingress: Ingress | undefined): string {
  const { creationTimestamp = '', namespace = '', name = '' } = ingress?.metadata ?? {};
  return `${creationTimestamp} ${namespace}/${name}`;
}
