import type {
  VirtualServiceHttp,
  VirtualServiceHttpCorsPolicy,
  VirtualServiceHttpDirectResponse,
  VirtualServiceHttpFault,
  VirtualServiceHttpMatch,
  VirtualServiceHttpRedirect,
  VirtualServiceHttpRewrite,
} from '../../../../gen/crd/types/istio/virtual-service.ts';
import { grpcStatusNames } from '../../../kit/grpc-status.ts';
import type { FieldPath } from '../../field-path.ts';
import { quote, type Report } from '../../report.ts';
import { checkLabels, checkRange, checkRegex, each, eachEntry } from './common.ts';
import { checkDestination, checkGatewayNames, checkRoutes } from './destinations.ts';
import { checkTimeout, checkTimeoutOrZero } from './durations.ts';
import { checkHeaderName, checkHeaderOperations, isAuthority } from './headers.ts';
import { checkPort, isDnsLabel } from './hosts.ts';
import { checkRetries } from './retries.ts';
import { checkStringMatch, checkStringMatches } from './string-match.ts';

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE'];
const LARGE_BODY = 100 * 1024;
const MAX_BODY = 1024 * 1024;

/** What the whole VirtualService says that its HTTP routes depend on. */
export interface RouteContext {
  /** A VirtualService without hosts: others delegate to it. */
  readonly delegated: boolean;
}

export function checkHttpRoute(
  report: Report,
  path: FieldPath,
  http: VirtualServiceHttp,
  context: RouteContext,
): void {
  checkAction(report, path, http, context);
  each(http.match, path.field('match'), (match, place) => checkMatch(report, place, match));
  checkHeaderOperations(report, path.field('headers'), http.headers);
  checkCors(report, path.field('corsPolicy'), http.corsPolicy);
  checkFault(report, path.field('fault'), http.fault);
  checkMirrors(report, path, http);
  checkRedirect(report, path, http.redirect, http.match);
  checkDirectResponse(report, path.field('directResponse'), http.directResponse);
  checkRetries(report, path.field('retries'), http.retries);
  checkRewrite(report, path.field('rewrite'), http.rewrite);
  checkAuthority(report, path, http);
  checkRoutes(report, path.field('route'), http.route);
  each(http.route, path.field('route'), (route, place) =>
    checkHeaderOperations(report, place.field('headers'), route.headers),
  );
  checkTimeoutOrZero(report, path.field('timeout'), http.timeout);
}

/** Exactly one thing is done with a request, and a root route only delegates. */
function checkAction(report: Report, path: FieldPath, http: VirtualServiceHttp, context: RouteContext): void {
  const { route, redirect, directResponse, delegate } = http;
  if (delegate && context.delegated)
    report.error(path.field('delegate'), 'FieldValueForbidden', 'a delegate cannot delegate further');
  else if (delegate) {
    for (const name of ['route', 'redirect', 'directResponse'] as const)
      if (http[name] !== undefined)
        report.error(
          path.field(name),
          'FieldValueForbidden',
          'a route that delegates must leave this to its delegate',
        );
    return;
  }
  const actions = [
    route?.length ? 'route' : undefined,
    redirect && 'redirect',
    directResponse && 'directResponse',
  ].filter((name) => name !== undefined);
  if (actions.length === 0) report.required(path, 'needs a route, redirect or directResponse');
  if (actions.length > 1) report.invalid(path, `set only one of ${actions.join(', ')}`);
  if (!redirect && !directResponse) return;
  for (const name of ['fault', 'rewrite'] as const)
    if (http[name])
      report.error(
        path.field(name),
        'FieldValueForbidden',
        `has no effect beside ${redirect ? 'redirect' : 'directResponse'}; remove it`,
      );
}

function checkMatch(report: Report, path: FieldPath, match: VirtualServiceHttpMatch): void {
  for (const field of ['headers', 'withoutHeaders'] as const)
    eachEntry(match[field], path.field(field), (name, value, place) => {
      checkHeaderName(report, place, name.replace(/^@request\.auth\.claims[.[].*$/, 'claim'));
      checkStringMatch(report, place, value);
    });
  checkStringMatch(report, path.field('uri'), match.uri, { emptyPrefix: true });
  for (const field of ['scheme', 'method', 'authority'] as const)
    checkStringMatch(report, path.field(field), match[field]);
  checkStringMatches(report, path.field('queryParams'), match.queryParams);
  if (match.port !== undefined && match.port !== 0) checkPort(report, path.field('port'), match.port);
  checkLabels(report, path.field('sourceLabels'), match.sourceLabels);
  checkGatewayNames(report, path.field('gateways'), match.gateways);
  if (match.sourceNamespace && !isDnsLabel(match.sourceNamespace))
    report.invalid(path.field('sourceNamespace'), `${quote(match.sourceNamespace)} is not a namespace`);
}

function checkCors(report: Report, path: FieldPath, cors: VirtualServiceHttpCorsPolicy | undefined): void {
  if (!cors) return;
  if (cors.allowOrigin?.length)
    report.warn(path.field('allowOrigin'), 'is deprecated; use allowOrigins with exact, prefix or regex');
  each(cors.allowOrigins, path.field('allowOrigins'), (origin, place) => {
    if (!origin.exact && !origin.prefix && !origin.regex)
      report.invalid(place, 'needs a non-empty exact, prefix or regex');
    else if (origin.regex) checkRegex(report, place.field('regex'), origin.regex);
  });
  each(cors.allowMethods, path.field('allowMethods'), (method, place) => {
    if (method !== '*' && !METHODS.includes(method))
      report.error(place, 'FieldValueNotSupported', `${quote(method)} is no HTTP method`);
  });
  for (const field of ['allowHeaders', 'exposeHeaders'] as const)
    each(cors[field], path.field(field), (name, place) => checkHeaderName(report, place, name));
  if (cors.maxAge === undefined) return;
  checkTimeout(report, path.field('maxAge'), cors.maxAge);
  if (/\d*\.\d*[1-9]/.test(cors.maxAge)) report.invalid(path.field('maxAge'), 'must be whole seconds');
}

function checkFault(report: Report, path: FieldPath, fault: VirtualServiceHttpFault | undefined): void {
  if (!fault) return;
  const { abort, delay } = fault;
  if (!abort && !delay) report.required(path, 'needs an abort, a delay, or both');
  if (abort) {
    const place = path.field('abort');
    checkPercentage(report, place.field('percentage'), abort.percentage?.value);
    if (abort.httpStatus !== undefined)
      checkRange(report, place.field('httpStatus'), abort.httpStatus, 200, 599);
    else if (abort.grpcStatus !== undefined) {
      if (!grpcStatusNames.includes(abort.grpcStatus))
        report.error(
          place.field('grpcStatus'),
          'FieldValueNotSupported',
          `${quote(abort.grpcStatus)} is no gRPC status such as NOT_FOUND`,
        );
    } else report.required(place, 'needs httpStatus or grpcStatus');
  }
  if (delay) {
    const place = path.field('delay');
    checkPercentage(report, place.field('percentage'), delay.percentage?.value);
    if (delay.percent !== undefined) {
      report.warn(place.field('percent'), 'is deprecated; use percentage.value');
      checkRange(report, place.field('percent'), delay.percent, 0, 100);
    }
    if (delay.fixedDelay !== undefined) checkTimeout(report, place.field('fixedDelay'), delay.fixedDelay);
    else if (delay.exponentialDelay !== undefined)
      report.error(
        place.field('exponentialDelay'),
        'FieldValueNotSupported',
        'is not supported; use fixedDelay',
      );
    else report.required(place.field('fixedDelay'), 'needs a duration such as 5s');
  }
}

/** Envoy counts in millionths, so the smallest share is 0.0001 %. */
function checkPercentage(report: Report, path: FieldPath, value: number | undefined): void {
  if (value !== undefined && value !== 0 && (value < 0.0001 || value > 100))
    report.invalid(path.field('value'), `${value} is out of range: use 0, or 0.0001 to 100`);
}

function checkMirrors(report: Report, path: FieldPath, http: VirtualServiceHttp): void {
  const { mirror, mirrors, mirrorPercent, mirror_percent: oldPercent, mirrorPercentage } = http;
  if (mirror && mirrors?.length) report.invalid(path.field('mirrors'), 'set only one of mirror, mirrors');
  for (const [name, value] of [
    ['mirrorPercent', mirrorPercent],
    ['mirror_percent', oldPercent],
  ] as const) {
    if (value === undefined || value === null) continue;
    report.warn(path.field(name), 'is deprecated; use mirrorPercentage.value');
    checkRange(report, path.field(name), value, 0, 100);
  }
  checkRange(report, path.field('mirrorPercentage').field('value'), mirrorPercentage?.value, 0, 100);
  if (mirror) checkDestination(report, path.field('mirror'), mirror);
  each(mirrors, path.field('mirrors'), (item, place) => {
    checkRange(report, place.field('percentage').field('value'), item.percentage?.value, 0, 100);
    checkDestination(report, place.field('destination'), item.destination);
  });
}

function checkRedirect(
  report: Report,
  path: FieldPath,
  redirect: VirtualServiceHttpRedirect | undefined,
  matches: readonly VirtualServiceHttpMatch[] | undefined,
): void {
  if (!redirect) return;
  const place = path.field('redirect');
  const { uri, authority, scheme, prefixRewrite, redirectCode } = redirect;
  const port = redirect.port !== undefined || redirect.derivePort !== undefined;
  if (!uri && !authority && !scheme && !port && !prefixRewrite)
    report.required(place, 'needs at least one of uri, prefixRewrite, authority, scheme, port, derivePort');
  if (redirectCode !== undefined && redirectCode !== 0)
    checkRange(report, place.field('redirectCode'), redirectCode, 300, 399);
  if (scheme && !['http', 'https'].includes(scheme))
    report.error(
      place.field('scheme'),
      'FieldValueNotSupported',
      `${quote(scheme)} is not supported; use http or https`,
    );
  if (redirect.port !== undefined) checkPort(report, place.field('port'), redirect.port);
  if (!prefixRewrite) return;
  if (uri) report.invalid(place, 'set only one of uri, prefixRewrite');
  each(matches, path.field('match'), (match, at) => {
    if (match.uri && match.uri.prefix === undefined)
      report.invalid(at.field('uri'), 'a redirect with prefixRewrite needs a prefix match');
  });
}

function checkDirectResponse(
  report: Report,
  path: FieldPath,
  response: VirtualServiceHttpDirectResponse | undefined,
): void {
  if (!response) return;
  checkRange(report, path.field('status'), response.status, 100, 599);
  const size =
    new TextEncoder().encode(response.body?.string ?? '').length +
    ((response.body?.bytes?.length ?? 0) * 3) / 4;
  if (size > MAX_BODY) report.error(path.field('body'), 'FieldValueTooLong', 'must be at most 1 MB');
  else if (size > LARGE_BODY)
    report.warn(path.field('body'), 'is over 100 kB: every proxy keeps a copy of it');
}

function checkRewrite(report: Report, path: FieldPath, rewrite: VirtualServiceHttpRewrite | undefined): void {
  if (!rewrite) return;
  const { uri, authority, uriRegexRewrite } = rewrite;
  if (!uri && !authority && !uriRegexRewrite)
    report.required(path, 'needs uri, uriRegexRewrite or authority');
  if (uri && uriRegexRewrite) report.invalid(path, 'set only one of uri, uriRegexRewrite');
  if (!uriRegexRewrite) return;
  const place = path.field('uriRegexRewrite');
  if (!uriRegexRewrite.match) report.required(place.field('match'), 'needs an RE2 expression');
  else checkRegex(report, place.field('match'), uriRegexRewrite.match);
  if (!uriRegexRewrite.rewrite) report.required(place.field('rewrite'), 'needs a replacement such as /\\1');
}

/** The host is set in one place only. */
function checkAuthority(report: Report, path: FieldPath, http: VirtualServiceHttp): void {
  const request = path.field('headers').field('request');
  let current = http.rewrite?.authority ?? '';
  for (const kind of ['set', 'add'] as const) {
    eachEntry(http.headers?.request?.[kind], request.field(kind), (name, value, place) => {
      if (!isAuthority(name)) return;
      if (current !== '')
        report.invalid(place, `the host is set to ${quote(current)} already; set it in one place only`);
      current = value;
    });
  }
}
