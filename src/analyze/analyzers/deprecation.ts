import { type Analyzer, kinds } from '../analyzer.ts';
import type { VirtualServiceSpec } from '../virtual-service-spec.ts';

interface SidecarSpec {
  readonly outboundTrafficPolicy?: { readonly egressProxy?: unknown };
}

const goneGroups: ReadonlySet<string> = new Set([
  'config.istio.io',
  'rbac.istio.io',
  'authentication.istio.io',
]);

/** IST0002: fields and kinds that are on their way out. */
export const deprecationAnalyzer: Analyzer = {
  name: 'deprecation.DeprecationAnalyzer',
  perObject: true,
  inputs: [kinds.virtualService, kinds.sidecar, kinds.definition],
  analyze: (view) => {
    for (const service of view.all<VirtualServiceSpec>(kinds.virtualService)) {
      for (const [index, { fault }] of (service.spec.http ?? []).entries()) {
        for (const part of ['delay', 'abort'] as const) {
          if (fault?.[part]?.percent === undefined) continue;
          const message = `fault.${part}.percent is deprecated; use fault.${part}.percentage.value`;
          view.report('IST0002', service, message, `spec.http[${index}].fault.${part}.percent`);
        }
      }
    }
    for (const sidecar of view.all<SidecarSpec>(kinds.sidecar)) {
      if (sidecar.spec.outboundTrafficPolicy?.egressProxy === undefined) continue;
      const message =
        'outboundTrafficPolicy.egressProxy is deprecated; route to the egress gateway with a VirtualService';
      view.report('IST0002', sidecar, message, 'spec.outboundTrafficPolicy.egressProxy');
    }
    for (const definition of view.all<{ readonly group?: string }>(kinds.definition)) {
      const { group = '' } = definition.spec;
      if (goneGroups.has(group))
        view.report(
          'IST0002',
          definition,
          `kinds of ${group} are not read any more; remove the definition`,
          'spec.group',
        );
    }
  },
};
