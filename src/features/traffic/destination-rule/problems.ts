import type { ConfigObject } from '../../../config/object.ts';
import type { Problem } from '../../../plan/feature.ts';
import { isWildcard, resolveHost } from '../../../plan/hosts.ts';
import { servicesByHost } from '../../../snapshot/kinds.ts';
import type { View } from '../../../snapshot/view.ts';
import { maglevTableSize, maxRingSize } from './hash-sizes.ts';
import type { TrafficPolicy } from './policy.ts';
import { type DestinationRule, originIn } from './rules.ts';

/** A rule for a host that nobody serves does nothing; sizes that Envoy would refuse are replaced by the nearest that it takes. */
export function destinationRuleProblems(view: View, object: ConfigObject): Problem[] {
  if (object.kind !== 'DestinationRule') return [];
  const rule = object as DestinationRule;
  const balancers = balancersOf(rule);
  return [
    ...hostProblems(view, rule),
    ...balancers.flatMap(({ hash, path }) => sizeProblems(rule, hash, path)),
  ];
}

function hostProblems(view: View, rule: DestinationRule): Problem[] {
  const { namespace = 'default' } = rule.metadata;
  const host = resolveHost(rule.spec?.host ?? '', namespace, view.mesh('domainSuffix'));
  if (host === '' || isWildcard(host) || view.list(servicesByHost, host).length > 0) return [];
  return [
    {
      origin: originIn(rule, 'spec.host'),
      code: 'ReferencedHostNotFound',
      message: `no service has the host ${host}: the rule changes nothing until one does`,
    },
  ];
}

type Hash = NonNullable<NonNullable<TrafficPolicy['loadBalancer']>['consistentHash']>;

/** Every consistent hash of a rule, and its place. */
function balancersOf(rule: DestinationRule): { hash: Hash; path: string }[] {
  const { trafficPolicy, subsets = [] } = rule.spec ?? {};
  const policies = [
    { policy: trafficPolicy, path: 'spec.trafficPolicy' },
    ...subsets.map((subset, index) => ({
      policy: subset.trafficPolicy,
      path: `spec.subsets[${index}].trafficPolicy`,
    })),
  ];
  const all = policies.flatMap(({ policy, path }) => [
    { balancer: policy?.loadBalancer, path },
    ...(policy?.portLevelSettings ?? []).map((settings, index) => ({
      balancer: settings.loadBalancer,
      path: `${path}.portLevelSettings[${index}]`,
    })),
  ]);
  return all.flatMap(({ balancer, path }) =>
    balancer?.consistentHash
      ? [{ hash: balancer.consistentHash, path: `${path}.loadBalancer.consistentHash` }]
      : [],
  );
}

function sizeProblems(rule: DestinationRule, hash: Hash, path: string): Problem[] {
  const problem = (field: string, message: string): Problem => ({
    origin: originIn(rule, `${path}.${field}`),
    code: 'UnusableSize',
    message,
  });
  const table = hash.maglev?.tableSize;
  const ring = hash.ringHash?.minimumRingSize || hash.minimumRingSize || 0;
  return [
    ...(table && maglevTableSize(table) !== table
      ? [
          problem(
            'maglev.tableSize',
            `${table} is not a prime number up to 5000011, which Envoy asks for: ${maglevTableSize(table)} is used`,
          ),
        ]
      : []),
    ...(ring > maxRingSize
      ? [
          problem(
            hash.ringHash?.minimumRingSize ? 'ringHash.minimumRingSize' : 'minimumRingSize',
            `${ring} is over Envoy's limit of ${maxRingSize}, which is used`,
          ),
        ]
      : []),
  ];
}
