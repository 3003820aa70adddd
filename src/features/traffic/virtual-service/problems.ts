import type { VirtualServiceHttpMirror } from '../../../../gen/crd/types/istio/virtual-service.ts';
import type { ConfigObject } from '../../../config/object.ts';
import { canonical } from '../../../config/schema/list-type.ts';
import { deepEqual } from '../../../kit/deep-equal.ts';
import type { Problem } from '../../../plan/feature.ts';
import { hostCovers, hostKeys, resolveHost } from '../../../plan/hosts.ts';
import { isRegex } from '../../../plan/regex.ts';
import { allServices, servicesByHost } from '../../../snapshot/kinds.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { defineIndex } from '../../../snapshot/world.ts';
import { rulesFor, subsetsOf } from '../destination-rule/schema.ts';
import { gatewayKind } from '../gateway/schema.ts';
import { delegateOf } from './delegates.ts';
import { mergeProblem, resolvedMatches } from './merge-matches.ts';
import { leastStatus, regexesOf } from './plan.ts';
import {
  gatewaysOf,
  isPublic,
  namespaceOf,
  originIn,
  type VirtualService,
  type VirtualServiceFacts,
  virtualServiceFacts,
  virtualServiceKind,
  virtualServicesByHost,
} from './virtual-service.ts';

/** References that lead nowhere, hosts that others have, and expressions that Envoy cannot read. */
export function virtualServiceProblems(view: View, object: ConfigObject): Problem[] {
  if (object.kind !== 'VirtualService') return [];
  const service = object as VirtualService;
  return [
    ...gatewayProblems(view, service),
    ...destinations(service).flatMap(({ destination, path }) =>
      destinationProblems(view, service, destination, path),
    ),
    ...regexProblems(service),
    ...statusProblems(service),
    ...delegateProblems(view, service),
    ...conflictingHosts(view, service),
    ...shadowedAtGateways(view, service),
  ];
}

/** Delegates that are not there or not open to this object, and what of theirs lies outside of what is delegated. */
function delegateProblems(view: View, service: VirtualService): Problem[] {
  return (service.spec?.http ?? []).flatMap((http, index): Problem[] => {
    if (!http.delegate) return [];
    const origin = originIn(service, `spec.http[${index}].delegate`);
    const found = delegateOf(view, service, http.delegate);
    if ('missing' in found) {
      const message = `${found.missing}: requests that match are answered 500`;
      return [{ origin, code: 'ReferencedDelegateNotFound', message }];
    }
    const { delegate } = found;
    const name = `${namespaceOf(delegate)}/${delegate.metadata.name}`;
    return (delegate.spec?.http ?? []).flatMap((leaf, at): Problem[] => {
      const problem = leaf.delegate
        ? 'delegates further, which only one level may: its requests are answered 500'
        : mergeProblem(resolvedMatches(service, http), resolvedMatches(delegate, leaf));
      if (problem === undefined) return [];
      const message = `http[${at}] of VirtualService ${name} ${leaf.delegate ? problem : `does not take effect: ${problem}`}`;
      return [{ origin, code: 'DelegateConflict', message }];
    });
  });
}

/** In the mesh one object decides for a host: of those with the same reach the oldest. */
function conflictingHosts(view: View, service: VirtualService): Problem[] {
  if (!gatewaysOf(service).includes('mesh')) return [];
  const own = view.call(virtualServiceFacts, `${namespaceOf(service)}/${service.metadata.name}`);
  return (own?.hosts ?? []).flatMap((host, index) => {
    const keys = hostKeys(host, view.mesh('domainSuffix')).flatMap((key) =>
      view.list(virtualServicesByHost, key),
    );
    const older = keys.find((key) => {
      const other = view.call(virtualServiceFacts, key);
      return other && own && goesFirst(other, own);
    });
    if (older === undefined) return [];
    return [
      {
        origin: originIn(service, `spec.hosts[${index}]`),
        code: 'ConflictingHost',
        message: `VirtualService ${older} is older and decides for ${host} in the mesh: put all routes of a host into one object`,
      },
    ];
  });
}

/** Hosts as written → virtual services that some Gateway has. */
const atGatewaysByHost = defineIndex('virtual-services-at-gateways-by-host', virtualServiceKind, (service) =>
  gatewaysOf(service).some((gateway) => gateway !== 'mesh') ? (service.spec?.hosts ?? []) : [],
);

type Http = NonNullable<NonNullable<VirtualService['spec']>['http']>[number];

/** At a Gateway the routes of all objects for a host are tried, the oldest object's first: what repeats an older one's is never reached. */
function shadowedAtGateways(view: View, service: VirtualService): Problem[] {
  const routes = service.spec?.http ?? [];
  const gateways = gatewaysOf(service).filter((gateway) => gateway !== 'mesh');
  const own = view.call(virtualServiceFacts, `${namespaceOf(service)}/${service.metadata.name}`);
  if (routes.length === 0 || gateways.length === 0 || !own) return [];
  const problems = new Map<number, Problem>();
  for (const host of service.spec?.hosts ?? [])
    for (const key of view.list(atGatewaysByHost, host)) {
      const facts = view.call(virtualServiceFacts, key);
      const older = facts && goesFirst(facts, own) ? view.get(virtualServiceKind, key) : undefined;
      const gateway =
        older &&
        gatewaysOf(older).find((one) => gateways.includes(one) && admitsBoth(view, one, older, service));
      if (!older || gateway === undefined) continue;
      const taken = new Set((older.spec?.http ?? []).flatMap(matchesOf));
      routes.forEach((route, index) => {
        const conditions = matchesOf(route);
        if (problems.has(index) || !conditions.every((one) => taken.has(one))) return;
        const what = conditions.includes(everything) ? 'what no other route takes' : 'the same requests';
        problems.set(index, {
          origin: originIn(service, `spec.http[${index}]`),
          code: 'ConflictingHost',
          message: `VirtualService ${key} is older and takes ${what} of ${host} at Gateway ${gateway}: this route is never reached; put all routes of a host into one object`,
        });
      });
    }
  return [...problems.values()];
}

/** A Gateway whose servers take hosts of some namespaces only may not have taken the other one. */
function admitsBoth(view: View, gateway: Key, a: VirtualService, b: VirtualService): boolean {
  if (namespaceOf(a) === namespaceOf(b)) return true;
  const hosts = (view.get(gatewayKind, gateway)?.spec?.servers ?? []).flatMap((server) => server.hosts);
  return hosts.every((host) => !host.includes('/') || host.startsWith('*/'));
}

const everything = '{}';

/** A route's conditions, each as text; of two routes whose texts are equal the first decides. */
function matchesOf({ match = [] }: Http): string[] {
  const texts = match.map(({ name: _, ...conditions }) =>
    deepEqual(conditions, { uri: { prefix: '/' } }) ? everything : canonical(conditions),
  );
  return texts.length > 0 ? texts : [everything];
}

/** Whether one is before the other for all who see both, by its age alone: what a namespace has for itself is meant to be its own way. */
function goesFirst(a: VirtualServiceFacts, b: VirtualServiceFacts): boolean {
  const alike = isPublic(a) ? isPublic(b) : !isPublic(b) && a.namespace === b.namespace;
  return alike && a.order < b.order && seenTogether(a, b);
}

/** Whether proxies of some namespace see both. */
function seenTogether(a: VirtualServiceFacts, b: VirtualServiceFacts): boolean {
  const seenIn = ({ exportTo, namespace }: VirtualServiceFacts): string[] =>
    exportTo.filter((to) => to !== '~').map((to) => (to === '.' ? namespace : to));
  const [first, second] = [seenIn(a), seenIn(b)];
  return (
    (first.includes('*') && second.length > 0) ||
    (second.includes('*') && first.length > 0) ||
    first.some((namespace) => second.includes(namespace))
  );
}

function gatewayProblems(view: View, service: VirtualService): Problem[] {
  return gatewaysOf(service).flatMap((gateway, index) =>
    gateway === 'mesh' || view.get(gatewayKind, gateway)
      ? []
      : [
          {
            origin: originIn(service, `spec.gateways[${index}]`),
            code: 'ReferencedGatewayNotFound',
            message: `there is no Gateway ${gateway}: nothing is routed for it until it exists`,
          },
        ],
  );
}

interface Reference {
  readonly destination: VirtualServiceHttpMirror;
  readonly path: string;
}

function destinations(service: VirtualService): Reference[] {
  const { http = [], tcp = [], tls = [] } = service.spec ?? {};
  const routed = (routes: readonly { route?: { destination: VirtualServiceHttpMirror }[] }[], name: string) =>
    routes.flatMap((item, index) =>
      (item.route ?? []).map(({ destination }, at) => ({
        destination,
        path: `spec.${name}[${index}].route[${at}].destination`,
      })),
    );
  const mirrored = http.flatMap((item, index) => [
    ...(item.mirror ? [{ destination: item.mirror, path: `spec.http[${index}].mirror` }] : []),
    ...(item.mirrors ?? []).map(({ destination }, at) => ({
      destination,
      path: `spec.http[${index}].mirrors[${at}].destination`,
    })),
  ]);
  return [...routed(http, 'http'), ...routed(tcp, 'tcp'), ...routed(tls, 'tls'), ...mirrored];
}

function destinationProblems(
  view: View,
  service: VirtualService,
  destination: VirtualServiceHttpMirror,
  path: string,
): Problem[] {
  const host = resolveHost(destination.host, namespaceOf(service), view.mesh('domainSuffix'));
  if (!view.call(isKnownHost, host))
    return [
      {
        origin: originIn(service, `${path}.host`),
        code: 'ReferencedHostNotFound',
        message: `no service has the host ${host}: requests that are sent there are answered 500`,
      },
    ];
  const { subset = '' } = destination;
  if (subset === '' || view.call(subsetsOf, view.call(rulesFor, host)).some(({ name }) => name === subset))
    return [];
  return [
    {
      origin: originIn(service, `${path}.subset`),
      code: 'ReferencedSubsetNotFound',
      message: `no DestinationRule for ${host} defines the subset ${subset}: requests that are sent there are answered 500`,
    },
  ];
}

const isKnownHost = defineQuery('virtual-service.known-host', (view, host: Key): boolean => {
  if (view.list(servicesByHost, host).length > 0) return true;
  return view
    .list(allServices, '')
    .some((key) => key.includes('/*') && hostCovers(key.slice(key.indexOf('/') + 1), host));
});

function statusProblems(service: VirtualService): Problem[] {
  return (service.spec?.http ?? []).flatMap(({ directResponse }, index) =>
    directResponse && directResponse.status < leastStatus
      ? [
          {
            origin: originIn(service, `spec.http[${index}].directResponse.status`),
            code: 'UnsupportedStatus',
            message: `${directResponse.status} is no final status, which Envoy cannot answer with: 500 is sent until it is ${leastStatus} to 599`,
          },
        ]
      : [],
  );
}

function regexProblems(service: VirtualService): Problem[] {
  return (service.spec?.http ?? []).flatMap((http, index) => {
    const path = `spec.http[${index}]`;
    const inMatches = (http.match ?? []).flatMap((match, at) =>
      regexesOf(match).map((regex) => ({ regex, path: `${path}.match[${at}]` })),
    );
    const rewrite = http.rewrite?.uriRegexRewrite?.match;
    const all = [
      ...inMatches,
      ...(rewrite ? [{ regex: rewrite, path: `${path}.rewrite.uriRegexRewrite.match` }] : []),
    ];
    return all
      .filter(({ regex }) => !isRegex(regex))
      .map(({ regex, path: at }) => ({
        origin: originIn(service, at),
        code: 'InvalidRegex',
        message: `${JSON.stringify(regex)} is not an RE2 expression, or compiles to too large a program: what the match might take is answered 500 until it is mended`,
      }));
  });
}
