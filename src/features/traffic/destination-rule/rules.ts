import type { DestinationRuleSpec } from '../../../../gen/crd/types/istio/destination-rule.ts';
import type { ConfigObject } from '../../../config/object.ts';
import type { Origin } from '../../../config/origin.ts';
import { compareText } from '../../../kit/maps.ts';
import { inNamespace } from '../../../plan/attributes.ts';
import { exported } from '../../../plan/exports.ts';
import { hostCovers, hostKey, hostKeys, isWildcard } from '../../../plan/hosts.ts';
import { defineSlot } from '../../../plan/slot.ts';
import { configKind } from '../../../snapshot/kinds.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { defineIndex } from '../../../snapshot/world.ts';

export type DestinationRule = ConfigObject<DestinationRuleSpec>;

export const destinationRuleKind = configKind<DestinationRuleSpec>('DestinationRule');

export function namespaceOf(rule: DestinationRule): string {
  return rule.metadata.namespace ?? 'default';
}

/** Exact hosts (see hostKey) → rules. */
export const rulesByHost = defineIndex('destination-rules-by-host', destinationRuleKind, (rule) => {
  const host = rule.spec?.host ?? '';
  return host === '' || isWildcard(host) ? [] : [hostKey(host, namespaceOf(rule))];
});

/** Rules with a wildcard host, under ''. */
export const wildcardRules = defineIndex('destination-rules-wildcard', destinationRuleKind, (rule) =>
  isWildcard(rule.spec?.host ?? '') ? [''] : [],
);

interface RuleFacts {
  readonly namespace: string;
  readonly host: string;
  readonly exportTo: readonly string[];
  readonly selector: Readonly<Record<string, string>> | undefined;
  readonly createdAt: string;
}

/** What the lookup needs; changes of a rule's policy stop here. */
const ruleFacts = defineQuery('destination-rule.facts', (view, key: Key): RuleFacts | undefined => {
  const rule = view.get(destinationRuleKind, key);
  return rule
    ? {
        namespace: namespaceOf(rule),
        host: rule.spec?.host ?? '',
        exportTo: rule.spec?.exportTo ?? [],
        selector: rule.spec?.workloadSelector?.matchLabels,
        createdAt: rule.metadata.creationTimestamp ?? '',
      }
    : undefined;
});

/**
 * The rules that apply to a host for the asking proxy: comma-separated keys, oldest first, '' for none. Istio's order: rules of
 * the client's namespace, then of the service's, then of the root namespace; within one namespace the most specific host. Rules for
 * one host in one namespace are merged. A rule with a workload selector concerns only proxies of its namespace that it selects,
 * and goes before one without.
 */
export const destinationRuleFor = defineQuery(
  'destination-rule.for',
  (view, host: Key, serviceNamespace: Key): string => {
    const keys = hostKeys(host, view.mesh('domainSuffix')).flatMap((key) => view.list(rulesByHost, key));
    const wild = view
      .list(wildcardRules, '')
      .filter((key) => hostCovers(view.call(ruleFacts, key)?.host ?? '', host));
    if (keys.length === 0 && wild.length === 0) return '';
    const found = [...keys, ...wild].flatMap((key) => {
      const facts = view.call(ruleFacts, key);
      return facts ? [{ key, ...facts }] : [];
    });
    // Rules of the service's own namespace that everybody sees mean the same to its own clients: asking whether the client is one
    // of them would only make more classes of proxies.
    const common = found.every(
      (rule) => rule.namespace !== serviceNamespace || (!rule.selector && isPublic(view, rule)),
    );
    const own = common ? found.filter((rule) => rule.namespace !== serviceNamespace) : found;
    return (
      choose(view, own, (rule) => view.attribute(inNamespace(rule.namespace))) ??
      choose(view, found, (rule) => rule.namespace === serviceNamespace && visible(view, rule)) ??
      choose(view, found, (rule) => rule.namespace === view.mesh('rootNamespace') && visible(view, rule)) ??
      ''
    );
  },
);

function exportsOf(view: View, rule: Candidate): readonly string[] {
  return rule.exportTo.length > 0 ? rule.exportTo : view.mesh('defaultDestinationRuleExportTo');
}

function isPublic(view: View, rule: Candidate): boolean {
  return exportsOf(view, rule).includes('*');
}

type Candidate = RuleFacts & { readonly key: Key };

function visible(view: View, rule: Candidate): boolean {
  if (rule.selector) return false;
  return exported(view, exportsOf(view, rule), rule.namespace);
}

function choose(
  view: View,
  rules: readonly Candidate[],
  applies: (rule: Candidate) => boolean,
): string | undefined {
  const inScope = rules.filter((rule) => applies(rule) && (!rule.selector || view.matches(rule.selector)));
  if (inScope.length === 0) return undefined;
  const host = inScope.reduce(
    (best, rule) => (best === '' || specificity(rule.host) > specificity(best) ? rule.host : best),
    '',
  );
  const best = inScope.filter((rule) => specificity(rule.host) === specificity(host));
  const selected = best.filter((rule) => rule.selector);
  return (selected.length > 0 ? selected : best)
    .sort((a, b) => compareText(a.createdAt, b.createdAt) || compareText(a.key, b.key))
    .map((rule) => rule.key)
    .join(',');
}

function specificity(host: string): number {
  return isWildcard(host) ? host.length : 100_000;
}

/** Every rule that names a host, whoever it concerns: for checks, not for traffic. */
export const rulesFor = defineQuery('destination-rule.all-for', (view, host: Key): string => {
  const keys = hostKeys(host, view.mesh('domainSuffix')).flatMap((key) => view.list(rulesByHost, key));
  const wild = view
    .list(wildcardRules, '')
    .filter((key) => hostCovers(view.call(ruleFacts, key)?.host ?? '', host));
  return [...keys, ...wild].sort().join(',');
});

/** Whether the applied rules concern selected workloads only. */
export const selectsWorkloads = defineQuery('destination-rule.selects', (view, rules: Key): boolean =>
  splitRules(rules).some((key) => view.call(ruleFacts, key)?.selector !== undefined),
);

/** Rules that name a credential, under ''. */
export const rulesWithCredentials = defineIndex(
  'destination-rules-credentials',
  destinationRuleKind,
  (rule) => (credentialsOf(rule).length > 0 ? [''] : []),
);

type TlsSettings = NonNullable<NonNullable<DestinationRuleSpec['trafficPolicy']>['tls']>;

/** Every TLS setting of a rule, and its place. */
export function tlsSettingsOf({
  spec,
}: DestinationRule): { readonly tls: TlsSettings; readonly path: string }[] {
  const policies = [
    { policy: spec?.trafficPolicy, path: 'spec.trafficPolicy' },
    ...(spec?.subsets ?? []).map(({ trafficPolicy: policy }, index) => ({
      policy,
      path: `spec.subsets[${index}].trafficPolicy`,
    })),
  ];
  return policies
    .flatMap(({ policy, path }) => [
      { tls: policy?.tls, path: `${path}.tls` },
      ...(policy?.portLevelSettings ?? []).map(({ tls }, index) => ({
        tls,
        path: `${path}.portLevelSettings[${index}].tls`,
      })),
    ])
    .flatMap(({ tls, path }) => (tls ? [{ tls, path }] : []));
}

/** The secrets that a rule's TLS settings name, anywhere in it. */
export function credentialsOf(rule: DestinationRule): string[] {
  const names = tlsSettingsOf(rule).flatMap(({ tls }) => tls.credentialName || []);
  return [...new Set(names)];
}

export interface SubsetPlan {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly origin: Origin;
}

/** The subsets of merged rules, first definition of a name wins. */
export const subsetsOf = defineQuery(
  'destination-rule.subsets',
  (view, rules: Key): readonly SubsetPlan[] => {
    const subsets = new Map<string, SubsetPlan>();
    for (const key of splitRules(rules)) {
      const rule = view.get(destinationRuleKind, key);
      rule?.spec?.subsets?.forEach((subset, index) => {
        if (!subsets.has(subset.name))
          subsets.set(subset.name, {
            name: subset.name,
            labels: subset.labels ?? {},
            origin: originIn(rule, `spec.subsets[${index}]`),
          });
      });
    }
    return [...subsets.values()];
  },
);

export function originIn(rule: DestinationRule, path: string): Origin {
  return { kind: 'DestinationRule', namespace: namespaceOf(rule), name: rule.metadata.name, path };
}

export function splitRules(rules: string): string[] {
  return rules === '' ? [] : rules.split(',');
}

/** On outbound cluster plans: the rules that their shaper found, for the decorators. */
/** On cluster plans that no rule concerns: limits that their shaper found elsewhere. */
export const ownPoolSlot = defineSlot<ConnectionPool>('ownPool', { visible: false });

type ConnectionPool = NonNullable<NonNullable<DestinationRuleSpec['trafficPolicy']>['connectionPool']>;

export const appliedRulesSlot = defineSlot<string>('appliedRules', { visible: false });

/** Names that a rule gives to mesh TLS: the server name ('': the cluster's own) and the identities of the peer. */
export const meshTlsNamesSlot = defineSlot<{ readonly sni: string; readonly identities: readonly string[] }>(
  'meshTlsNames',
  { visible: false },
);
/** On outbound cluster plans: what a rule says of TLS; unset: nothing, automatic mTLS decides. */
export const tlsChoiceSlot = defineSlot<'none' | 'mesh' | 'origination'>('tlsChoice', { visible: false });
