import { holdsLabels } from '../../kit/labels.ts';
import { type Analyzer, type Item, kinds } from '../analyzer.ts';
import { formatLabels, type PodSpec } from '../selectors.ts';

interface Server {
  readonly port?: { readonly number?: number };
  readonly bind?: string;
  readonly hosts?: readonly string[];
}

interface GatewaySpec {
  readonly selector?: Readonly<Record<string, string>>;
  readonly servers?: readonly Server[];
}

/** IST0145: gateways of the same workloads that claim one host at one port. */
export const conflictingGatewayAnalyzer: Analyzer = {
  name: 'gateway.ConflictingGatewayAnalyzer',
  inputs: [kinds.gateway, kinds.pod],
  analyze: (view) => {
    const pods = view.all<PodSpec>(kinds.pod);
    const gateways = view.all<GatewaySpec>(kinds.gateway);
    const workloads = new Map(gateways.map((gateway) => [gateway, workloadsOf(gateway, pods)]));
    for (const gateway of gateways) {
      for (const [index, server] of (gateway.spec.servers ?? []).entries()) {
        const rivals = gateways.filter(
          (other) =>
            other !== gateway &&
            shareWorkloads(workloads.get(gateway), workloads.get(other)) &&
            (other.spec.servers ?? []).some((theirs) => clash(server, theirs)),
        );
        if (rivals.length === 0) continue;
        const names = rivals.map(({ namespace, name }) => `${namespace}/${name}`).sort();
        const message = `has hosts at port ${server.port?.number} in common with ${names.join(', ')} (${(server.hosts ?? []).join(', ')}); only one of them can serve a host, so merge them or give them other hosts, ports or selectors`;
        view.report('IST0145', gateway, message, `spec.servers[${index}]`);
      }
    }
  },
};

/** The pods of a gateway and its selector as text: two gateways share workloads if either is the same. */
function workloadsOf(gateway: Item<GatewaySpec>, pods: readonly Item<PodSpec>[]): ReadonlySet<unknown> {
  const { selector = {} } = gateway.spec;
  return new Set<unknown>([
    formatLabels(selector),
    ...pods.filter(({ labels }) => holdsLabels(labels, selector)),
  ]);
}

function shareWorkloads(a: ReadonlySet<unknown> | undefined, b: ReadonlySet<unknown> | undefined): boolean {
  return a !== undefined && b !== undefined && !a.isDisjointFrom(b);
}

function clash(a: Server, b: Server): boolean {
  if (a.port?.number === undefined || a.port.number !== b.port?.number || (a.bind ?? '') !== (b.bind ?? ''))
    return false;
  return (a.hosts ?? []).some((host) => b.hosts?.includes(host));
}
