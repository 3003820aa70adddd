import { holdsLabels } from '../../kit/labels.ts';
import { type Analyzer, type Item, kinds } from '../analyzer.ts';

interface GatewaySpec {
  readonly selector?: Readonly<Record<string, string>>;
  readonly servers?: readonly {
    readonly tls?: { readonly credentialName?: string; readonly serverCertificate?: string };
  }[];
}

/** IST0138: one certificate at several gateways of a workload, so that HTTP/2 clients reuse a connection for the wrong one. */
export const gatewayCertificateAnalyzer: Analyzer = {
  name: 'gateway.CertificateAnalyzer',
  inputs: [kinds.gateway],
  analyze: (view) => {
    const gateways = view.all<GatewaySpec>(kinds.gateway);
    for (const gateway of gateways) {
      const own = certificatesOf(gateway);
      const rivals = gateways.filter(
        (other) =>
          other !== gateway && shareWorkload(gateway, other) && !own.isDisjointFrom(certificatesOf(other)),
      );
      if (rivals.length === 0) continue;
      const names = rivals.map(({ namespace, name }) => `${namespace}/${name}`).sort();
      const message = `uses a certificate that ${names.join(', ')} uses too: clients that reuse an HTTP/2 connection get 404; merge them into one gateway`;
      view.report('IST0138', gateway, message, 'spec.servers');
    }
  },
};

function certificatesOf({ spec }: Item<GatewaySpec>): ReadonlySet<string> {
  return new Set(
    (spec.servers ?? []).flatMap(({ tls }) => tls?.credentialName || tls?.serverCertificate || []),
  );
}

/** Whoever has the labels of the one that asks for more has those of the other. */
function shareWorkload(
  { spec: { selector: a = {} } }: Item<GatewaySpec>,
  { spec: { selector: b = {} } }: Item<GatewaySpec>,
): boolean {
  return holdsLabels(a, b) || holdsLabels(b, a);
}
