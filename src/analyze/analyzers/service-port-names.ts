import { servicePortProtocol } from '../../registry/protocol.ts';
import { type Analyzer, kinds } from '../analyzer.ts';
import type { ServiceSpec } from '../selectors.ts';

const systemNamespaces: ReadonlySet<string> = new Set(['kube-system', 'kube-public', 'kube-node-lease']);

/** IST0118 and IST0150: ports whose protocol has to be guessed. */
export const portNameAnalyzer: Analyzer = {
  name: 'service.PortNameAnalyzer',
  perObject: true,
  inputs: [kinds.service],
  analyze: (view) => {
    for (const service of view.all<ServiceSpec>(kinds.service)) {
      if (systemNamespaces.has(service.namespace) || service.namespace === view.rootNamespace) continue;
      const external = service.spec.type === 'ExternalName';
      for (const [index, port] of (service.spec.ports ?? []).entries()) {
        const unsaid = servicePortProtocol(port) === 'Unsupported';
        const name = port.name ? `port ${port.port} is named ${port.name}` : `port ${port.port} has no name`;
        const path = `spec.ports[${index}]`;
        // A TCP port of an alias matches by address, and an alias has none.
        if (external && (unsaid || port.name === 'tcp')) {
          const message = `${name}, which for an ExternalName service catches all traffic to the port number; name it http, https or tls with an optional -suffix`;
          view.report('IST0150', service, message, path);
        } else if (unsaid) {
          const message = `${name}, so its protocol is found out by looking at the first bytes; name it PROTOCOL or PROTOCOL-suffix (http-web), or set appProtocol`;
          view.report('IST0118', service, message, path);
        }
      }
    }
  },
};
