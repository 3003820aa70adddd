import type { PeerAuthenticationSpec } from '../../../../gen/crd/types/istio/peer-authentication.ts';
import type {
  RequestAuthenticationJwtRules,
  RequestAuthenticationSpec,
} from '../../../../gen/crd/types/istio/request-authentication.ts';
import { parseUrl } from '../../cel/library/network.ts';
import type { FieldPath } from '../../field-path.ts';
import { quote, type Report } from '../../report.ts';
import { checkPolicyTarget, checkSelector, each, specValidator } from './common.ts';
import { checkTimeout } from './durations.ts';
import { checkPlainHeaderName } from './headers.ts';
import { isPort } from './hosts.ts';

export const validateRequestAuthentication = specValidator<RequestAuthenticationSpec>(
  (spec, path, report) => {
    checkPolicyTarget(report, path, spec);
    each(spec.jwtRules, path.field('jwtRules'), (rule, place) => checkJwtRule(report, place, rule));
  },
);

function checkJwtRule(report: Report, path: FieldPath, rule: RequestAuthenticationJwtRules): void {
  const { issuer, jwks } = rule;
  const jwksUri = rule.jwksUri ?? rule.jwks_uri;
  if (!issuer && !jwksUri) report.required(path, 'needs issuer or jwksUri');
  each(rule.audiences, path.field('audiences'), (audience, place) => {
    if (audience === '') report.invalid(place, 'must not be empty');
  });
  if (jwksUri) checkJwksUri(report, path.field('jwksUri'), jwksUri);
  if (jwks) checkJwks(report, path.field('jwks'), jwks);
  if (jwks && jwksUri) report.warn(path.field('jwksUri'), 'is not used: jwks is set');
  each(rule.fromHeaders, path.field('fromHeaders'), ({ name }, place) => {
    if (name === '') report.required(place.field('name'), 'a header needs a name');
  });
  for (const field of ['fromParams', 'fromCookies', 'spaceDelimitedClaims'] as const)
    each(rule[field], path.field(field), (name, place) => {
      if (name === '') report.invalid(place, 'must not be empty');
    });
  each(rule.outputClaimToHeaders, path.field('outputClaimToHeaders'), ({ header, claim }, place) => {
    if (!header) report.required(place.field('header'), 'is required');
    else checkPlainHeaderName(report, place.field('header'), header);
    if (!claim) report.required(place.field('claim'), 'is required');
  });
  checkTimeout(report, path.field('timeout'), rule.timeout);
}

function checkJwksUri(report: Report, path: FieldPath, uri: string): void {
  const url = parseUrl(uri);
  if (!url || !['http', 'https'].includes(url.scheme) || url.host === '')
    report.invalid(path, `${quote(uri)} must be a URL that begins with https:// or http://`);
  else {
    const port = /:(\d*)$/.exec(url.host)?.[1];
    if (port && !isPort(Number(port))) report.invalid(path, `${port} is no port: use 1 to 65535`);
  }
}

function checkJwks(report: Report, path: FieldPath, text: string): void {
  try {
    const parsed = JSON.parse(text) as { keys?: unknown } | null;
    if (!Array.isArray(parsed?.keys)) report.warn(path, 'is no key set: it needs a list named keys');
  } catch {
    report.warn(path, 'is no JSON, so no token will be valid');
  }
}

export const validatePeerAuthentication = specValidator<PeerAuthenticationSpec>(
  (spec, path, report, { name }) => {
    const selector = spec.selector?.matchLabels;
    const everyone = !selector || Object.keys(selector).length === 0;
    const ports = Object.keys(spec.portLevelMtls ?? {});
    const place = path.field('portLevelMtls');
    if (everyone && ports.length > 0)
      report.error(place, 'FieldValueForbidden', 'is for chosen workloads only; add a selector');
    if (spec.portLevelMtls && ports.length === 0) report.invalid(place, 'must not be empty; remove it');
    for (const port of ports)
      if (!isPort(Number(port)))
        report.invalid(place.field(port), `${quote(port)} is no port: use 1 to 65535`);
    if (spec.selector) checkSelector(report, path.field('selector').field('matchLabels'), selector);
    if (everyone && name !== 'default' && name !== '')
      report.warn(
        path.field('selector'),
        'without a selector it holds for the whole namespace; by convention it is named default',
      );
  },
);
