import { parse } from 'yaml';
import { holdsLabels } from '../../kit/labels.ts';
import { type AnalysisView, type Analyzer, type Item, kinds } from '../analyzer.ts';
import { injectionLabels, isSystemNamespace } from '../injection-labels.ts';
import { injectorSettings } from '../injector-settings.ts';
import { meshSettings } from '../mesh-settings.ts';
import { type PodSpec, proxyContainer } from '../selectors.ts';

interface ProxyConfigSpec {
  readonly selector?: { readonly matchLabels?: Readonly<Record<string, string>> };
  readonly image?: { readonly imageType?: string };
}

/** IST0158: pods whose sidecar is of another image than the injector would give them now. */
export const proxyImageAnalyzer: Analyzer = {
  name: 'injection.ImageAnalyzer',
  inputs: [kinds.namespace, kinds.pod, kinds.configMap, kinds.proxyConfig],
  analyze: (view) => {
    const images = new Map(injectorSettings(view).map(({ revision, proxyImage }) => [revision, proxyImage]));
    const typeOf = imageTypes(view);
    const pods = Map.groupBy(view.all<PodSpec>(kinds.pod), ({ namespace }) => namespace);
    for (const namespace of view.all(kinds.namespace)) {
      const { enabled, revision } = injectionLabels(namespace.labels);
      const image = enabled || revision ? images.get(enabled ? '' : (revision ?? '')) : undefined;
      if (!image || isSystemNamespace(namespace.name, view.rootNamespace)) continue;
      const stale = (pods.get(namespace.name) ?? []).filter((pod) => isStale(pod, image, typeOf(pod)));
      if (stale.length === 0) continue;
      const names = stale.map(({ name }) => name).join(', ');
      const message = `pods have another proxy than ${image}, which they would get now: ${names}; restart them`;
      view.report('IST0158', namespace, message);
    }
  },
};

function isStale(pod: Item<PodSpec>, image: string, type: string | undefined): boolean {
  const running = proxyContainer(pod.spec)?.image;
  // Whoever names an image wants that one.
  if (running === undefined || pod.annotations['sidecar.istio.io/proxyImage']) return false;
  return running !== (type && type !== 'default' ? `${image}-${type}` : image);
}

/** From the nearest to the farthest that sets one: the pod, its ProxyConfig, that of its namespace, of the mesh, and the mesh's settings. */
function imageTypes(view: AnalysisView): (pod: Item<PodSpec>) => string | undefined {
  const configs = view.all<ProxyConfigSpec>(kinds.proxyConfig).filter(({ spec }) => spec.image?.imageType);
  const meshWide = meshSettings(view).defaultConfig?.image?.imageType;
  const selected = (pod: Item<PodSpec>, namespace: string, bySelector: boolean) =>
    configs.find(
      (config) =>
        config.namespace === namespace &&
        (config.spec.selector !== undefined) === bySelector &&
        holdsLabels(pod.labels, config.spec.selector?.matchLabels ?? {}),
    )?.spec.image?.imageType;
  return (pod) =>
    pod.annotations['sidecar.istio.io/proxyImageType'] ??
    annotatedType(pod.annotations['proxy.istio.io/config']) ??
    selected(pod, pod.namespace, true) ??
    selected(pod, pod.namespace, false) ??
    selected(pod, view.rootNamespace, false) ??
    meshWide;
}

function annotatedType(text: string | undefined): string | undefined {
  try {
    const config: unknown = text === undefined ? undefined : parse(text);
    return (config as { readonly image?: { readonly imageType?: string } } | null | undefined)?.image
      ?.imageType;
  } catch {
    return undefined;
  }
}
