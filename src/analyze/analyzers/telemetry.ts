import { holdsLabels } from '../../kit/labels.ts';
import { type Analyzer, type Item, kinds } from '../analyzer.ts';
import { meshSettings } from '../mesh-settings.ts';

interface Providers {
  readonly disabled?: boolean;
  readonly providers?: readonly { readonly name?: string }[];
}

interface TelemetrySpec {
  readonly selector?: { readonly matchLabels?: Readonly<Record<string, string>> };
  readonly accessLogging?: readonly Providers[];
  readonly tracing?: readonly Providers[];
}

/** IST0157: access logging that says to log, and not where to. */
export const telemetryProviderAnalyzer: Analyzer = {
  name: 'telemetry.ProviderAnalyzer',
  inputs: [kinds.telemetry, kinds.configMap],
  analyze: (view) => {
    if (meshSettings(view).defaultProviders?.accessLogging?.length) return;
    for (const telemetry of view.all<TelemetrySpec>(kinds.telemetry)) {
      for (const [index, { disabled, providers = [] }] of (telemetry.spec.accessLogging ?? []).entries()) {
        if (disabled || providers.length > 0) continue;
        const message = `names no provider and the mesh has no default one, so nothing is logged; add providers: [{ name: envoy }]`;
        view.report('IST0157', telemetry, message, `spec.accessLogging[${index}]`);
      }
    }
  },
};

/** IST0159: several Telemetries with a selector for one pod. */
export const telemetrySelectorAnalyzer: Analyzer = {
  name: 'telemetry.SelectorAnalyzer',
  inputs: [kinds.telemetry, kinds.pod],
  analyze: (view) => {
    const byNamespace = Map.groupBy(
      view.all<TelemetrySpec>(kinds.telemetry).filter(({ spec }) => spec.selector),
      ({ namespace }) => namespace,
    );
    const told = new Set<Item<TelemetrySpec>>();
    for (const pod of view.all(kinds.pod)) {
      const rivals = (byNamespace.get(pod.namespace) ?? []).filter(({ spec }) =>
        holdsLabels(pod.labels, spec.selector?.matchLabels ?? {}),
      );
      if (rivals.length < 2) continue;
      for (const telemetry of rivals) {
        if (told.has(telemetry)) continue;
        told.add(telemetry);
        const message = `selects pod ${pod.name}, which ${namesBut(rivals, telemetry)} selects too: only one is used; make their selectors exclude each other`;
        view.report('IST0159', telemetry, message, 'spec.selector');
      }
    }
  },
};

/** IST0160: several Telemetries for a whole namespace. */
export const telemetryDefaultSelectorAnalyzer: Analyzer = {
  name: 'telemetry.DefaultSelectorAnalyzer',
  inputs: [kinds.telemetry],
  analyze: (view) => {
    const general = view
      .all<TelemetrySpec & { readonly targetRef?: unknown; readonly targetRefs?: unknown }>(kinds.telemetry)
      .filter(({ spec }) => !spec.selector && !spec.targetRef && !spec.targetRefs);
    for (const rivals of Map.groupBy(general, ({ namespace }) => namespace).values()) {
      if (rivals.length < 2) continue;
      for (const telemetry of rivals) {
        const message = `is for the whole namespace, and so is ${namesBut(rivals, telemetry)}: only one is used; merge them, or give them a selector`;
        view.report('IST0160', telemetry, message);
      }
    }
  },
};

/** IST0002: tracing with a provider that is gone. */
export const telemetryLightstepAnalyzer: Analyzer = {
  name: 'telemetry.LightstepAnalyzer',
  inputs: [kinds.telemetry, kinds.configMap],
  analyze: (view) => {
    const gone = new Set(
      (meshSettings(view).extensionProviders ?? [])
        .filter(({ lightstep }) => lightstep)
        .map(({ name }) => name),
    );
    for (const telemetry of view.all<TelemetrySpec>(kinds.telemetry))
      for (const [index, { providers = [] }] of (telemetry.spec.tracing ?? []).entries())
        for (const { name } of providers)
          if (gone.has(name))
            view.report(
              'IST0002',
              telemetry,
              `provider ${name} is Lightstep's own, which is deprecated; use an opentelemetry provider`,
              `spec.tracing[${index}].providers`,
            );
  },
};

function namesBut(all: readonly Item<unknown>[], one: Item<unknown>): string {
  return all.flatMap((other) => (other === one ? [] : other.name)).join(', ');
}
