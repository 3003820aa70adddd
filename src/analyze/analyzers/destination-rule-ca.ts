import { type Analyzer, kinds } from '../analyzer.ts';

interface Tls {
  readonly mode?: string;
  readonly caCertificates?: string;
  readonly credentialName?: string;
}

interface DestinationRuleSpec {
  readonly host?: string;
  readonly workloadSelector?: unknown;
  readonly trafficPolicy?: {
    readonly tls?: Tls;
    readonly portLevelSettings?: readonly {
      readonly port?: { readonly number?: number };
      readonly tls?: Tls;
    }[];
  };
}

/** IST0128 and IST0129: TLS to a server with no authority of one's own to verify it by. */
export const caCertificateAnalyzer: Analyzer = {
  name: 'destinationrule.CaCertificateAnalyzer',
  perObject: true,
  inputs: [kinds.destinationRule],
  analyze: (view) => {
    for (const rule of view.all<DestinationRuleSpec>(kinds.destinationRule)) {
      const { host = '', trafficPolicy, workloadSelector } = rule.spec;
      // Only gateways and selected workloads fetch a credential.
      const fetches = workloadSelector !== undefined;
      const lacksCa = (tls: Tls | undefined): tls is Tls =>
        (tls?.mode === 'SIMPLE' || tls?.mode === 'MUTUAL') &&
        !tls.caCertificates &&
        !(tls.credentialName && fetches);
      const mend = 'set tls.caCertificates, or tls.credentialName together with a workloadSelector';
      const tls = trafficPolicy?.tls;
      if (lacksCa(tls))
        view.report(
          'IST0128',
          rule,
          `names no authority to verify ${host} by, for TLS of mode ${tls.mode}; ${mend}`,
          'spec.trafficPolicy.tls',
        );
      for (const [index, setting] of (trafficPolicy?.portLevelSettings ?? []).entries())
        if (lacksCa(setting.tls))
          view.report(
            'IST0129',
            rule,
            `names no authority to verify ${host} by at port ${setting.port?.number}, for TLS of mode ${setting.tls.mode}; ${mend}`,
            `spec.trafficPolicy.portLevelSettings[${index}].tls`,
          );
    }
  },
};
