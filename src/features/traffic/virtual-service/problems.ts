import type { VirtualServiceHttpMirror } from '../../../../gen/crd/types/istio/virtual-service.ts';
import type { ConfigObject } from '../../../config/object.ts';
import type { Problem } from '../../../plan/feature.ts';
import { hostCovers, resolveHost } from '../../../plan/hosts.ts';
import { allServices, servicesByHost } from '../../../snapshot/kinds.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { rulesFor, subsetsOf } from '../destination-rule/schema.ts';
import { gatewayKind } from '../gateway/schema.ts';
import { isRegex } from './authority.ts';
import { regexesOf } from './plan.ts';
import { gatewaysOf, namespaceOf, originIn, type VirtualService } from './virtual-service.ts';

/** References that lead nowhere, and expressions that Envoy cannot read. */
export function virtualServiceProblems(view: View, object: ConfigObject): Problem[] {
  if (object.kind !== 'VirtualService') return [];
  const service = object as VirtualService;
  return [
    ...gatewayProblems(view, service),
    ...destinations(service).flatMap(({ destination, path }) =>
      destinationProblems(view, service, destination, path),
    ),
    ...regexProblems(service),
  ];
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
        message: `${JSON.stringify(regex)} is not an RE2 expression: what the match might take is answered 500 until it is mended`,
      }));
  });
}
