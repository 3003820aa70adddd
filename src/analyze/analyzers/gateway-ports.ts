import { holdsLabels } from '../../kit/labels.ts';
import { type Analyzer, kinds } from '../analyzer.ts';
import { formatLabels, type PodSpec, type ServiceSpec, selectsPod } from '../selectors.ts';

interface GatewaySpec {
  readonly selector?: Readonly<Record<string, string>>;
  readonly servers?: readonly { readonly port?: { readonly number?: number } }[];
}

/** IST0101 and IST0162: a gateway that no workload serves, or at a port that its workload's services do not lead to. */
export const gatewayPortAnalyzer: Analyzer = {
  name: 'gateway.IngressGatewayPortAnalyzer',
  inputs: [kinds.gateway, kinds.pod, kinds.service],
  analyze: (view) => {
    const pods = view.all<PodSpec>(kinds.pod);
    const services = view.all<ServiceSpec>(kinds.service);
    for (const gateway of view.all<GatewaySpec>(kinds.gateway)) {
      const { selector = {}, servers = [] } = gateway.spec;
      const selected = pods.filter(({ labels }) => holdsLabels(labels, selector));
      const labels = formatLabels(selector);
      if (selected.length === 0) {
        const message = `no workload has the labels ${labels}; start the gateway's workload, or mend the selector`;
        if (view.workloadsKnown) view.report('IST0101', gateway, message, 'spec.selector');
        continue;
      }
      const offered = new Set(
        services
          .filter((service) => selected.some((pod) => selectsPod(service, pod)))
          .flatMap(({ spec }) => spec.ports ?? [])
          .filter(({ protocol = 'TCP' }) => protocol === 'TCP')
          // A gateway may name either: the service's port is translated to the target.
          .flatMap(({ port, targetPort }) => (typeof targetPort === 'number' ? [port, targetPort] : [port])),
      );
      for (const [index, { port }] of servers.entries()) {
        if (port?.number === undefined || offered.has(port.number)) continue;
        const message = `no service leads to port ${port.number} of the workloads ${labels}; add it to the ports of the gateway's service`;
        view.report('IST0162', gateway, message, `spec.servers[${index}].port.number`);
      }
    }
  },
};
