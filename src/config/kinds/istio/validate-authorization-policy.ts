import type {
  AuthorizationPolicyRules,
  AuthorizationPolicyRulesFromSource,
  AuthorizationPolicyRulesToOperation,
  AuthorizationPolicyRulesWhen,
  AuthorizationPolicySpec,
} from '../../../../gen/crd/types/istio/authorization-policy.ts';
import type { FieldPath } from '../../field-path.ts';
import { quote, type Report } from '../../report.ts';
import { checkPolicyTarget, each, specValidator } from './common.ts';
import { checkIpOrCidr, isPort } from './hosts.ts';

const DRY_RUN = 'istio.io/dry-run';
const IP_FIELDS = ['ipBlocks', 'notIpBlocks', 'remoteIpBlocks', 'notRemoteIpBlocks'] as const;
const PORT_FIELDS = ['ports', 'notPorts'] as const;
const PATH_FIELDS = ['paths', 'notPaths'] as const;

/** `when.key` values without arguments. */
const KEYS = new Set([
  'source.ip',
  'remote.ip',
  'source.namespace',
  'source.principal',
  'source.serviceAccount',
  'source.trustDomain',
  'request.auth.principal',
  'request.auth.audiences',
  'request.auth.presenter',
  'destination.ip',
  'destination.port',
  'connection.sni',
]);
/** Those with an argument in brackets. */
const KEYS_WITH_ARGUMENT = ['request.headers', 'request.auth.claims'];

export const validateAuthorizationPolicy = specValidator<AuthorizationPolicySpec>(
  (spec, path, report, subject) => {
    checkPolicyTarget(report, path, spec);
    const action = spec.action ?? 'ALLOW';
    checkProvider(report, path.field('provider'), spec, action);
    if (subject.annotations[DRY_RUN] === 'true' && action !== 'ALLOW' && action !== 'DENY')
      report.invalid(
        path.field('action'),
        `${action} cannot be tried out: the annotation ${DRY_RUN} is for ALLOW and DENY`,
      );
    if (action === 'DENY' && !spec.rules)
      report.warn(path.field('rules'), 'a DENY policy without rules never denies');
    each(spec.rules, path.field('rules'), (rule, place) => {
      checkRule(report, place, rule);
      if (action === 'CUSTOM' && asksForToken(rule))
        report.warn(
          place,
          'a CUSTOM policy decides before tokens are looked at: the rule matches whatever the token is; ask the provider to judge it',
        );
      if (action === 'DENY' && isHttpOnly(rule))
        report.warn(
          place,
          'denies all TCP traffic, as it uses HTTP attributes only; name the ports that it is for',
        );
    });
  },
);

function asksForToken({ from = [], when = [] }: AuthorizationPolicyRules): boolean {
  return (
    from.some(({ source }) => source?.requestPrincipals?.length || source?.notRequestPrincipals?.length) ||
    when.some(({ key }) => key.startsWith('request.auth.'))
  );
}

function checkProvider(report: Report, path: FieldPath, spec: AuthorizationPolicySpec, action: string): void {
  if (action === 'CUSTOM') {
    if (!spec.rules) report.required(path, 'a CUSTOM policy needs rules that say when to ask the provider');
    if (!spec.provider?.name)
      report.required(
        path.field('name'),
        'a CUSTOM policy needs a provider of meshConfig.extensionProviders',
      );
  } else if (spec.provider) {
    report.error(path, 'FieldValueForbidden', 'only a CUSTOM policy has a provider');
  }
}

function checkRule(report: Report, path: FieldPath, rule: AuthorizationPolicyRules): void {
  for (const field of ['from', 'to'] as const)
    if (rule[field] && rule[field].length === 0)
      report.required(path.field(field), 'must not be empty; remove it');
  each(rule.from, path.field('from'), ({ source }, place) => {
    if (!source) report.required(place.field('source'), 'is required');
    else checkSource(report, place.field('source'), source);
  });
  each(rule.to, path.field('to'), ({ operation }, place) => {
    if (!operation) report.required(place.field('operation'), 'is required');
    else checkOperation(report, place.field('operation'), operation);
  });
  each(rule.when, path.field('when'), (condition, place) => checkCondition(report, place, condition));
}

function checkLists(report: Report, path: FieldPath, lists: object): void {
  const entries = Object.entries(lists) as [string, string[]][];
  if (!entries.some(([, values]) => values.length > 0))
    report.required(path, 'must not be empty: it would match nothing sensible');
  for (const [name, values] of entries) checkNotEmpty(report, path.field(name), values);
}

function checkNotEmpty(report: Report, path: FieldPath, values: readonly string[] | undefined): void {
  each(values, path, (value, place) => {
    if (value === '') report.invalid(place, 'must not be empty');
  });
}

function checkSource(report: Report, path: FieldPath, source: AuthorizationPolicyRulesFromSource): void {
  checkLists(report, path, source);
  for (const field of IP_FIELDS)
    each(source[field], path.field(field), (value, place) => {
      if (value !== '') checkIpOrCidr(report, place, value);
    });
  if (!source.serviceAccounts?.length && !source.notServiceAccounts?.length) return;
  for (const field of ['principals', 'notPrincipals', 'namespaces', 'notNamespaces'] as const)
    if (source[field]?.length)
      report.invalid(
        path.field(field),
        'service accounts name principals and namespaces already; use one of them',
      );
  for (const field of ['serviceAccounts', 'notServiceAccounts'] as const)
    each(source[field], path.field(field), (value, place) => {
      if (value.split('/').length > 2 || value.includes('*'))
        report.invalid(place, `${quote(value)} needs the form namespace/name, without wildcards`);
    });
}

function checkOperation(
  report: Report,
  path: FieldPath,
  operation: AuthorizationPolicyRulesToOperation,
): void {
  checkLists(report, path, operation);
  for (const field of PORT_FIELDS)
    each(operation[field], path.field(field), (value, place) => {
      if (value !== '' && !(/^\d+$/.test(value) && isPort(Number(value))))
        report.invalid(place, `${quote(value)} is no port: use 1 to 65535`);
    });
  for (const field of PATH_FIELDS)
    each(operation[field], path.field(field), (value, place) => {
      const problem = pathTemplateProblem(value);
      if (problem !== undefined) report.invalid(place, problem);
    });
}

/** Path templates: `{*}` stands for one segment, `{**}` for any number of them and comes last but for text. */
function pathTemplateProblem(path: string): string | undefined {
  if (!/[{}]/.test(path)) return undefined;
  const segments = path.split('/');
  const wild = segments.filter((segment) => segment === '{**}').length;
  for (const segment of segments) {
    if (segment === '{*}' || segment === '{**}') continue;
    if (/[{}]/.test(segment)) return `${quote(path)}: {*} and {**} must be whole segments`;
    if (segment.includes('*')) return `${quote(path)}: * and templates cannot be mixed; use {*} or {**}`;
  }
  if (wild > 1 || (wild === 1 && segments.slice(segments.indexOf('{**}') + 1).includes('{*}')))
    return `${quote(path)}: {**} may occur once, with no {*} after it`;
  return undefined;
}

function checkCondition(report: Report, path: FieldPath, condition: AuthorizationPolicyRulesWhen): void {
  const { key, values = [], notValues = [] } = condition;
  if (key === '') {
    report.required(path.field('key'), 'is required, such as source.ip');
    return;
  }
  if (!isKnownKey(key))
    report.error(path.field('key'), 'FieldValueNotSupported', `${quote(key)} is no attribute of a request`);
  if (values.length === 0 && notValues.length === 0) report.required(path, 'needs values or notValues');
  for (const [field, list] of [
    ['values', values],
    ['notValues', notValues],
  ] as const) {
    checkNotEmpty(report, path.field(field), list);
    each(list, path.field(field), (value, place) => {
      if (value === '') return;
      if (['source.ip', 'remote.ip', 'destination.ip'].includes(key)) checkIpOrCidr(report, place, value);
      if (key === 'destination.port' && !(/^\d+$/.test(value) && isPort(Number(value))))
        report.invalid(place, `${quote(value)} is no port: use 1 to 65535`);
    });
  }
}

function isKnownKey(key: string): boolean {
  if (KEYS.has(key) || key.startsWith('experimental.envoy.filters.')) return true;
  return KEYS_WITH_ARGUMENT.some(
    (name) => key.startsWith(`${name}[`) && key.endsWith(']') && key.length > name.length + 2,
  );
}

/** A rule whose operations name no port but HTTP attributes: over TCP it would deny everything. */
function isHttpOnly(rule: AuthorizationPolicyRules): boolean {
  const http = (operation: AuthorizationPolicyRulesToOperation | undefined) =>
    !operation?.ports?.length &&
    (['hosts', 'notHosts', 'methods', 'notMethods', 'paths', 'notPaths'] as const).some(
      (field) => operation?.[field]?.length,
    );
  if (rule.to?.length) return rule.to.some(({ operation }) => http(operation));
  return (rule.from ?? []).some(
    ({ source }) => source?.requestPrincipals?.length || source?.notRequestPrincipals?.length,
  );
}
