import { splitKey } from '../../../config/object.ts';
import { outboundCluster } from '../../../plan/names.ts';
import { isCarried, needsPort, portsOf, serviceFor } from '../../../plan/service-scope.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import { destinationRuleFor, subsetsOf } from '../destination-rule/schema.ts';

/** The clusters of one host: a port each, and each port's subsets. */
export const clustersOfHost = defineQuery('service.clusters-of-host', (view, host: Key): readonly Key[] => {
  const service = view.call(serviceFor, host);
  if (service === '') return [];
  const rules = view.call(destinationRuleFor, host, splitKey(service).namespace);
  const subsets = rules === '' ? [] : view.call(subsetsOf, rules);
  return view
    .call(portsOf, service)
    .filter((port) => isCarried(port) && needsPort(view, host, port.port))
    .flatMap(({ port }) => [
      outboundCluster(port, '', host),
      ...subsets.map((subset) => outboundCluster(port, subset.name, host)),
    ]);
});
