import type { ConfigObject } from '../../../config/object.ts';
import type { Origin } from '../../../config/origin.ts';
import { parseIp } from '../../../kit/ip.ts';
import type { Problem } from '../../../plan/feature.ts';
import type { ServiceEntry, WorkloadEntry } from '../../../registry/schema.ts';
import { serviceKind } from '../../../snapshot/kinds.ts';
import type { View } from '../../../snapshot/view.ts';

/** Hosts that another object has already, and addresses that cannot be delivered. */
export function serviceProblems(view: View, object: ConfigObject): Problem[] {
  if (object.kind === 'ServiceEntry') return entryProblems(view, object as ServiceEntry);
  return object.kind === 'WorkloadEntry' ? workloadProblems(object as WorkloadEntry) : [];
}

function originIn(object: ConfigObject, path: string): Origin {
  const { namespace = 'default', name } = object.metadata;
  return { kind: object.kind, namespace, name, path };
}

function entryProblems(view: View, entry: ServiceEntry): Problem[] {
  const { namespace = 'default', name } = entry.metadata;
  const hosts = (entry.spec?.hosts ?? []).flatMap((host, index): Problem[] => {
    const found = view.get(serviceKind, `${namespace}/${host}`);
    const { kind, name: owner } = found?.origin ?? {};
    if (!found || (kind === 'ServiceEntry' && owner === name) || found.mergedFrom?.includes(name)) return [];
    return [
      {
        origin: originIn(entry, `spec.hosts[${index}]`),
        code: 'ConflictingHost',
        message: `${host} belongs to ${kind} ${owner}, which is older and differs in resolution, location or exportTo: this entry adds nothing to it`,
      },
    ];
  });
  return [...hosts, ...networkProblems(entry)];
}

/** Without multi-network gateways an endpoint that only names its network cannot be called. */
function networkProblems(entry: ServiceEntry): Problem[] {
  return (entry.spec?.endpoints ?? []).flatMap(({ address = '', network }, index) =>
    address === '' && network
      ? [
          {
            origin: originIn(entry, `spec.endpoints[${index}].network`),
            code: 'AddressMissing',
            message: `the endpoint has no address, and no gateway of network ${network} is known: it is left out`,
          },
        ]
      : [],
  );
}

function workloadProblems(entry: WorkloadEntry): Problem[] {
  const { address = '', network } = entry.spec ?? {};
  if (address === '' && network)
    return [
      {
        origin: originIn(entry, 'spec.network'),
        code: 'AddressMissing',
        message: `the entry has no address, and no gateway of network ${network} is known: it is left out`,
      },
    ];
  if (address === '' || address.startsWith('unix://') || parseIp(address)) return [];
  return [
    {
      origin: originIn(entry, 'spec.address'),
      code: 'AddressNotDelivered',
      message: `${address} is a name: only a ServiceEntry of resolution DNS that selects this entry looks it up; Services and resolution STATIC leave it out`,
    },
  ];
}
