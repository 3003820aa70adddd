import { type Analyzer, type Item, kinds } from '../analyzer.ts';
import { injectionLabels, isSystemNamespace } from '../injection-labels.ts';
import { injectorSettings } from '../injector-settings.ts';
import { type PodSpec, proxyContainer } from '../selectors.ts';
import { isInjector, webhooksOf } from '../webhooks.ts';

/** IST0102, IST0103, IST0123 and IST0148: namespaces that are not injected, or by two rules, and pods that were missed. */
export const injectionAnalyzer: Analyzer = {
  name: 'injection.Analyzer',
  inputs: [kinds.namespace, kinds.pod, kinds.configMap, kinds.mutatingWebhook],
  analyze: (view) => {
    const injectors = injectorSettings(view);
    // Where nobody injects, as in a mesh of processes, labels for it mean nothing.
    const injects = injectors.length > 0 || webhooksOf(view, kinds.mutatingWebhook).some(isInjector);
    if (!injects && !view.assumeInstallation) return;
    const byDefault = injectors.some(({ enabledByDefault }) => enabledByDefault);
    const injected = new Set<string>();
    for (const namespace of view.all(kinds.namespace)) {
      if (isSystemNamespace(namespace.name, view.rootNamespace)) continue;
      const { enabled, disabled, revision, ambient } = injectionLabels(namespace.labels);
      if (disabled) continue;
      const rules = [
        enabled && 'istio-injection',
        revision && 'istio.io/rev',
        ambient && 'istio.io/dataplane-mode',
      ].filter((rule) => typeof rule === 'string');
      if (rules.length > 1) {
        const message = `the labels ${rules.join(' and ')} ask for different ways into the mesh; keep one of them`;
        view.report('IST0123', namespace, message, 'metadata.labels');
      } else if (enabled || revision) {
        injected.add(namespace.name);
      } else if (!ambient && byDefault) {
        injected.add(namespace.name);
        const message = `is injected because the installation does so by default; label it istio-injection=enabled or =disabled to say what is meant`;
        view.report('IST0148', namespace, message);
      } else if (!ambient) {
        const message = `has no label for injection, so its pods get no sidecar; label it istio-injection=enabled, or =disabled if that is meant`;
        view.report('IST0102', namespace, message);
      }
    }
    for (const pod of view.all<PodSpec>(kinds.pod)) {
      if (!injected.has(pod.namespace) || !wantsSidecar(pod) || proxyContainer(pod.spec)) continue;
      const message = `has no sidecar though its namespace is injected; it is older than the label, so restart it`;
      view.report('IST0103', pod, message);
    }
  },
};

function wantsSidecar({ spec, labels, annotations, object }: Item<PodSpec>): boolean {
  const { phase } = (object.status ?? {}) as { readonly phase?: string };
  const asked = labels['sidecar.istio.io/inject'] ?? annotations['sidecar.istio.io/inject'];
  return !spec.hostNetwork && asked !== 'false' && phase !== 'Succeeded' && phase !== 'Failed';
}
