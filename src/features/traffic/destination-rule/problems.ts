import type { ConfigObject } from '../../../config/object.ts';
import type { Problem } from '../../../plan/feature.ts';
import { isWildcard, resolveHost } from '../../../plan/hosts.ts';
import { servicesByHost } from '../../../snapshot/kinds.ts';
import type { View } from '../../../snapshot/view.ts';
import type { DestinationRule } from './schema.ts';

/** A rule for a host that nobody serves does nothing. */
export function destinationRuleProblems(view: View, object: ConfigObject): Problem[] {
  if (object.kind !== 'DestinationRule') return [];
  const rule = object as DestinationRule;
  const { namespace = 'default', name } = rule.metadata;
  const host = resolveHost(rule.spec?.host ?? '', namespace, view.mesh('domainSuffix'));
  if (host === '' || isWildcard(host) || view.list(servicesByHost, host).length > 0) return [];
  return [
    {
      origin: { kind: 'DestinationRule', namespace, name, path: 'spec.host' },
      code: 'ReferencedHostNotFound',
      message: `no service has the host ${host}: the rule changes nothing until one does`,
    },
  ];
}
