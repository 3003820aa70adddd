import type { ConfigObject } from '../../../config/object.ts';
import type { Origin } from '../../../config/origin.ts';
import type { Problem } from '../../../plan/feature.ts';
import { parseProtocol, servicePortProtocol } from '../../../registry/protocol.ts';
import type { KubernetesService, ServiceEntry } from '../../../registry/schema.ts';
import type { Protocol } from '../../../registry/service.ts';
import type { View } from '../../../snapshot/view.ts';
import { annotation, type FilteredProtocol, filterChoice } from './schema.ts';

/** No filter for these in the Envoy that is driven. */
const withoutFilter: ReadonlySet<Protocol> = new Set(['MySQL', 'Postgres', 'Kafka']);
const optional: ReadonlySet<Protocol> = new Set(['Mongo', 'Redis', 'Thrift', 'Dubbo', 'ZooKeeper']);

/** Ports named for a protocol whose bytes pass unread, and a word that the annotation does not know. */
export function protocolFilterProblems(view: View, object: ConfigObject): Problem[] {
  if (object.kind !== 'Service' && object.kind !== 'ServiceEntry') return [];
  const { namespace = 'default', name } = object.metadata;
  const at = (path: string): Origin => ({ kind: object.kind, namespace, name, path });
  const value = object.metadata.annotations?.[annotation];
  const annotated: Problem[] =
    value === undefined || value === 'true' || value === 'false'
      ? []
      : [
          {
            origin: at(`metadata.annotations.${annotation}`),
            code: 'InvalidAnnotation',
            message: `${JSON.stringify(value)} is neither true nor false: the default stands`,
          },
        ];
  const notes = protocolsOf(object).flatMap((protocol, index): Problem[] => {
    const origin = at(`spec.ports[${index}]`);
    if (withoutFilter.has(protocol))
      return [
        {
          origin,
          code: 'ProtocolAsTcp',
          message: `stock Envoy has no ${protocol} filter: connections pass as TCP, with TCP routing, policy and metrics`,
          note: true,
        },
      ];
    if (!optional.has(protocol) || filterChoice(view, at(''), protocol as FilteredProtocol).on) return [];
    return [
      {
        origin,
        code: 'ProtocolAsTcp',
        message: `connections pass as TCP; the annotation ${annotation}: "true" has Envoy understand ${protocol}`,
        note: true,
      },
    ];
  });
  return [...annotated, ...notes];
}

function protocolsOf(object: ConfigObject): Protocol[] {
  if (object.kind === 'Service')
    return ((object as KubernetesService).spec?.ports ?? []).map(servicePortProtocol);
  return ((object as ServiceEntry).spec?.ports ?? []).map(({ protocol }) => parseProtocol(protocol ?? ''));
}
