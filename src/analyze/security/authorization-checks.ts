import type { AuthorizationPolicySpec } from '../../../gen/crd/types/istio/authorization-policy.ts';
import type { RequestAuthenticationSpec } from '../../../gen/crd/types/istio/request-authentication.ts';
import { holdsLabels } from '../../kit/labels.ts';
import { kinds, type SourceObject } from '../analyzer.ts';
import { about, type Finding, type SecurityCheck, type SecurityView } from './finding.ts';

type Labels = Readonly<Record<string, string>>;
type Rule = NonNullable<AuthorizationPolicySpec['rules']>[number];

const namespaceOf = ({ object }: SourceObject): string => object.metadata.namespace || 'default';
const isDryRun = ({ object }: SourceObject): boolean =>
  object.metadata.annotations?.['istio.io/dry-run'] === 'true';

/** Workloads to which no enforced ALLOW policy applies: everybody whom nobody refuses is let in. */
export const workloadsWithoutPolicy: SecurityCheck = (view) => {
  const policies = view.all<AuthorizationPolicySpec>(kinds.authorizationPolicy);
  const allowing = policies.filter(
    (source) => !isDryRun(source) && ['ALLOW', 'CUSTOM'].includes(source.object.spec?.action ?? 'ALLOW'),
  );
  const tried = policies.filter(
    (source) => isDryRun(source) && (source.object.spec?.action ?? 'ALLOW') === 'ALLOW',
  );
  const services = view
    .all<{ selector?: Labels }>(kinds.service)
    .filter(({ object }) => Object.keys(object.spec?.selector ?? {}).length > 0);
  return services.flatMap((source): Finding[] => {
    const labels = podLabels(view, source) ?? source.object.spec?.selector ?? {};
    // Who calls a gateway is outside: what comes in is judged at the workloads behind it.
    if (isGateway(labels)) return [];
    if (allowing.some((policy) => applies(policy, namespaceOf(source), labels, view.rootNamespace)))
      return [];
    const inDryRun = tried.some((policy) => applies(policy, namespaceOf(source), labels, view.rootNamespace));
    return [
      about(source, '', {
        code: 'NoAuthorizationPolicy',
        level: 'Medium',
        what: inDryRun
          ? 'its ALLOW policies are in dry run: nothing is refused'
          : 'no ALLOW policy applies to its workloads',
        why: 'every workload of the mesh may call it, with any request',
        mend: inDryRun
          ? 'remove the annotation istio.io/dry-run once ostria policy check finds nothing'
          : `propose one with ostria policy suggest ${source.object.metadata.name} --observe 1m`,
      }),
    ];
  });
};

function isGateway(labels: Labels): boolean {
  return /gateway/.test(labels.istio ?? '') || 'gateway.networking.k8s.io/gateway-name' in labels;
}

/** Labels of a pod that a service picks: a policy may select by more than the service does. */
function podLabels(view: SecurityView, source: SourceObject): Labels | undefined {
  const selector = (source.object.spec as { selector?: Labels } | undefined)?.selector ?? {};
  const pod = view
    .all(kinds.pod)
    .find(
      (one) =>
        namespaceOf(one) === namespaceOf(source) && holdsLabels(one.object.metadata.labels ?? {}, selector),
    );
  return pod?.object.metadata.labels;
}

function applies(policy: SourceObject, namespace: string, labels: Labels, rootNamespace: string): boolean {
  const { selector, targetRef, targetRefs } = (policy.object.spec ?? {}) as AuthorizationPolicySpec;
  if (targetRef || targetRefs?.length) return false;
  return (
    [namespace, rootNamespace].includes(namespaceOf(policy)) &&
    holdsLabels(labels, selector?.matchLabels ?? {})
  );
}

/** Rules that let in more than they look like. */
export const wideRules: SecurityCheck = (view) =>
  view.all<AuthorizationPolicySpec>(kinds.authorizationPolicy).flatMap((source) => {
    const { action = 'ALLOW', rules = [] } = source.object.spec ?? {};
    if (action !== 'ALLOW') return [];
    return rules.flatMap((rule, index) => wideRule(source, rule, `spec.rules[${index}]`));
  });

function wideRule(source: SourceObject, rule: Rule, path: string): Finding[] {
  const { from = [], to = [], when = [] } = rule;
  if (from.length === 0 && to.length === 0 && when.length === 0)
    return [
      about(source, path, {
        code: 'AllowsEverybody',
        level: 'High',
        what: 'an empty rule lets in every call',
        why: 'it makes all other ALLOW rules of these workloads pointless',
        mend: 'name callers in from, and operations in to',
      }),
    ];
  const found: Finding[] = [];
  const identifies = (fields: object) =>
    ['principals', 'requestPrincipals', 'namespaces', 'serviceAccounts'].some((name) => name in fields);
  const named = from.length > 0 && from.every(({ source: fields = {} }) => identifies(fields));
  if (
    !named &&
    !when.some(({ key }) => /^(source\.(principal|namespace|serviceAccount)|request\.auth\.)/.test(key))
  )
    found.push(
      about(source, from.length > 0 ? `${path}.from` : path, {
        code: 'AnyCaller',
        level: 'Medium',
        what: 'callers are not told apart by an identity',
        why: 'whoever reaches the workload may do what the rule allows; addresses are no identities',
        mend: 'name principals, namespaces or requestPrincipals in from',
      }),
    );
  for (const [index, { source: fields = {} }] of from.entries())
    for (const name of ['principals', 'namespaces', 'requestPrincipals'] as const)
      for (const value of fields[name] ?? [])
        if (value === '*')
          found.push(
            about(source, `${path}.from[${index}].source.${name}`, {
              code: 'AnyIdentity',
              level: name === 'requestPrincipals' ? 'Low' : 'Medium',
              what: `${name} "*": anybody with ${name === 'requestPrincipals' ? 'a valid token' : 'an identity'}`,
              why: 'every workload of the mesh has one',
              mend: 'name those who may call',
            }),
          );
  return found;
}

/** Tokens that are verified where nobody asks for one: a request without any goes on. */
export const tokensNotRequired: SecurityCheck = (view) => {
  const policies = view
    .all<AuthorizationPolicySpec>(kinds.authorizationPolicy)
    .filter((source) => !isDryRun(source));
  const requires = ({ rules = [] }: AuthorizationPolicySpec) =>
    rules.some(
      ({ from = [], when = [] }) =>
        from.some(
          ({ source = {} }) => source.requestPrincipals?.length || source.notRequestPrincipals?.length,
        ) || when.some(({ key }) => key.startsWith('request.auth.')),
    );
  return view
    .all<RequestAuthenticationSpec>('RequestAuthentication.security.istio.io')
    .flatMap((source): Finding[] => {
      const { selector } = source.object.spec ?? {};
      const asked = policies.some(
        (policy) =>
          [namespaceOf(source), view.rootNamespace].includes(namespaceOf(policy)) &&
          holdsLabels(selector?.matchLabels ?? {}, policy.object.spec?.selector?.matchLabels ?? {}) &&
          requires(policy.object.spec ?? {}),
      );
      if (asked) return [];
      return [
        about(source, 'spec.jwtRules', {
          code: 'TokenNotRequired',
          level: 'Medium',
          what: 'a request without a token is let through',
          why: 'RequestAuthentication refuses bad tokens; only an AuthorizationPolicy can ask for a good one',
          mend: 'add an AuthorizationPolicy that asks for requestPrincipals',
        }),
      ];
    });
};
