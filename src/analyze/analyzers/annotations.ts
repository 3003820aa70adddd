import { parseCidr } from '../../kit/ip.ts';
import { type AnalysisView, type Analyzer, type Item, kinds } from '../analyzer.ts';
import { type AnnotationValue, type KnownAnnotation, knownAnnotations } from '../known-annotations.ts';
import type { DeploymentSpec, PodSpec } from '../selectors.ts';

/** Annotations of one place: an object, or the pods that a Deployment makes. */
interface Place {
  readonly item: Item<unknown>;
  readonly kind: string;
  readonly annotations: Readonly<Record<string, string>>;
  readonly path: string;
}

const inputs = [kinds.deployment, kinds.namespace, kinds.pod, kinds.service];

/** IST0107, IST0108, IST0125 and IST0135: annotations that nobody reads, or that are read otherwise than meant. */
export const annotationAnalyzer: Analyzer = {
  name: 'annotations.K8sAnalyzer',
  perObject: true,
  inputs,
  analyze: (view) => {
    for (const place of places(view))
      for (const [name, value] of Object.entries(place.annotations))
        checkAnnotation(view, place, name, value);
  },
};

/** IST0136: annotations of alpha features. Not by default: most are. */
export const alphaAnnotationAnalyzer: Analyzer = {
  name: 'annotations.AlphaAnalyzer',
  perObject: true,
  inputs,
  byDefault: false,
  analyze: (view) => {
    for (const { item, annotations, path } of places(view)) {
      const given = byCni(item);
      for (const name of Object.keys(annotations)) {
        const known = knownAnnotations[name];
        if (!known?.alpha || known.hidden || name === 'istio.io/rev' || given.has(name)) continue;
        const message = `${name} belongs to an alpha feature, which may change or go`;
        view.report('IST0136', item, message, `${path}["${name}"]`);
      }
    }
  },
};

function places(view: AnalysisView): Place[] {
  const own = inputs.flatMap((kind) =>
    view.all(kind).map(
      (item): Place => ({
        item,
        kind: item.kind,
        annotations: item.annotations,
        path: 'metadata.annotations',
      }),
    ),
  );
  const templates = view.all<DeploymentSpec>(kinds.deployment).map(
    (item): Place => ({
      item,
      kind: 'Pod',
      annotations: item.spec.template?.metadata?.annotations ?? {},
      path: 'spec.template.metadata.annotations',
    }),
  );
  return [...own, ...templates];
}

function checkAnnotation(
  view: AnalysisView,
  { item, kind, annotations, path }: Place,
  name: string,
  value: string,
): void {
  const at = `${path}["${name}"]`;
  const known = knownAnnotations[name];
  if (!known) {
    const domain = name.split('/')[0] ?? '';
    if (domain === 'istio.io' || domain.endsWith('.istio.io'))
      view.report(
        'IST0108',
        item,
        `${name} is no annotation of the mesh, so nothing reads it; check its spelling`,
        at,
      );
    return;
  }
  // Where a label of that name is there too the label decides.
  if (known.deprecated && !known.hidden && item.labels[name] === undefined)
    view.report('IST0135', item, `${name} is deprecated${insteadOf(name)}`, at);
  if (!appliesTo(known, kind)) {
    const where = known.on.join(' or ');
    view.report('IST0107', item, `${name} means nothing on a ${kind}; set it on a ${where}`, at);
    return;
  }
  const problem = known.value && valueProblem(known.value, annotations[name] ?? value);
  if (problem) view.report('IST0125', item, `${name} is ${JSON.stringify(value)}; it must be ${problem}`, at);
}

function insteadOf(name: string): string {
  if (name === 'sidecar.istio.io/inject') return '; use the label of the same name';
  if (name === 'sidecar.istio.io/discoveryAddress') return '; use proxy.istio.io/config';
  if (name.includes('stats') || name.endsWith('extraStatTags'))
    return '; use proxyStatsMatcher of proxy.istio.io/config, or a Telemetry';
  return '';
}

function appliesTo({ on }: KnownAnnotation, kind: string): boolean {
  return on.includes('Any') || on.includes(kind);
}

/** What the value should be, if it is not. */
function valueProblem(form: AnnotationValue, value: string): string | undefined {
  const each = (ok: (part: string) => boolean) =>
    value === '' || value.split(',').every((part) => part.trim() === '*' || ok(part.trim()));
  switch (form) {
    case 'boolean':
      return /^(true|false)$/i.test(value) ? undefined : 'true or false';
    case 'count':
      return /^\d+$/.test(value) ? undefined : 'a whole number';
    case 'port':
      return isPort(value) ? undefined : 'a port';
    case 'ports':
      return each(isPort) ? undefined : 'ports separated by commas, or *';
    case 'cidrs':
      return each((part) => parseCidr(part) !== undefined)
        ? undefined
        : 'ranges such as 10.0.0.0/8 separated by commas, or *';
  }
}

function isPort(text: string): boolean {
  return /^\d+$/.test(text) && Number(text) <= 65_535;
}

const setByCni = [
  'sidecar.istio.io/interceptionMode',
  'traffic.sidecar.istio.io/excludeInboundPorts',
  'traffic.sidecar.istio.io/includeInboundPorts',
  'traffic.sidecar.istio.io/includeOutboundIPRanges',
];

/** Annotations that the injection with a CNI plugin writes by itself. */
function byCni(item: Item<unknown>): ReadonlySet<string> {
  const { initContainers = [] } = item.spec as PodSpec;
  return new Set(initContainers.some(({ name }) => name === 'istio-validation') ? setByCni : []);
}
