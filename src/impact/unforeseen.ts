import { create } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import { HttpProtocolOptionsSchema } from '../../gen/proto/envoy/config/core/v3/protocol_pb.js';
import type { Listener } from '../../gen/proto/envoy/config/listener/v3/listener_pb.js';
import { RouterSchema } from '../../gen/proto/envoy/extensions/filters/http/router/v3/router_pb.js';
import {
  type HttpConnectionManager,
  HttpConnectionManagerSchema,
} from '../../gen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { deepEqual } from '../kit/deep-equal.ts';
import type { Model } from '../model/model.ts';
import { unpack } from '../simulate/decoded-resources.ts';
import { typeUrls } from '../snapshot/resource.ts';
import type { ResourceChange, Touched, TouchedProxy } from './touched.ts';

/** Kinds that put into proxies what they like, or say how all of them treat connections. */
const settingKinds: ReadonlySet<string> = new Set(['EnvoyFilter', 'WasmPlugin', 'ProxyConfig']);
/** Objects that are named where none of these changes, at most. */
const mostNamed = 3;

/**
 * What a change brings that cannot be followed to requests, in words, whatever object brings it. Filters that are not simulated can:
 * whatever they do, they do it to requests that pass them.
 */
export function unforeseen(before: Model, after: Model, { proxies }: Touched): string[] {
  if (proxies.length === 0) return [];
  const settings = [...changedObjects(before, after, settingKinds), ...changedMeshSettings(before, after)];
  const fields = new Set<string>();
  const seen = new Set<readonly ResourceChange[]>();
  for (const proxy of proxies) {
    if (seen.has(proxy.changes)) continue;
    seen.add(proxy.changes);
    for (const field of unknownFields(proxy)) fields.add(field);
  }
  if (fields.size === 0) return [];
  const by = settings.length > 0 ? settings : shortened(changedObjects(before, after));
  return [`${by.join(', ')}: the effect of ${[...fields].sort().join(', ')} on requests is not simulated`];
}

function changedObjects(before: Model, after: Model, kinds?: ReadonlySet<string>): string[] {
  const ids = new Set([...before.objects.keys(), ...after.objects.keys()]);
  return [...ids].flatMap((id) => {
    const [old, now] = [before, after].map((model) => model.objects.get(id)?.object);
    const { kind = '', metadata } = now ?? old ?? {};
    if (kinds && !kinds.has(kind)) return [];
    return deepEqual(old, now) ? [] : [`${kind} ${metadata?.namespace}/${metadata?.name}`];
  });
}

/** `MeshConfig pathNormalization`: what the mesh's settings say otherwise than before. */
function changedMeshSettings(before: Model, after: Model): string[] {
  const [old, now] = [before, after].map(({ mesh: { extra, ...named } }) => ({ ...named, ...extra }));
  return differing(old ?? {}, now ?? {}).map((name) => `MeshConfig ${name}`);
}

function shortened(names: readonly string[]): string[] {
  const more = names.length - mostNamed;
  return more > 0 ? [...names.slice(0, mostNamed), `${more} more`] : [...names];
}

/** Fields that are simulated, or that change no outcome: bounds of time and size of connections, names, logs. */
const known: Readonly<Record<string, ReadonlySet<string>>> = {
  listener: new Set([
    ...['name', 'address', 'additionalAddresses', 'filterChains', 'defaultFilterChain', 'listenerFilters'],
    ...['metadata', 'trafficDirection', 'bindToPort', 'statPrefix', 'accessLog', 'tcpBacklogSize'],
    ...['perConnectionBufferLimitBytes', 'listenerFiltersTimeout', 'continueOnListenerFiltersTimeout'],
    ...['enableReusePort', 'connectionBalanceConfig', 'socketOptions', 'drainType'],
  ]),
  manager: new Set([
    // Looked at field by field.
    'commonHttpProtocolOptions',
    ...['httpFilters', 'routeSpecifier', 'statPrefix', 'accessLog', 'accessLogOptions', 'tracing'],
    ...['codecType', 'useRemoteAddress', 'xffNumTrustedHops', 'skipXffAppend'],
    ...['requestIdExtension', 'generateRequestId', 'http2ProtocolOptions', 'maxRequestHeadersKb'],
    ...['streamIdleTimeout', 'requestTimeout', 'requestHeadersTimeout', 'drainTimeout'],
    'delayedCloseTimeout',
  ]),
  common: new Set(['idleTimeout', 'maxConnectionDuration', 'maxHeadersCount', 'maxRequestsPerConnection']),
  router: new Set(['dynamicStats', 'startChildSpan', 'upstreamLog', 'upstreamLogOptions']),
};

function unknownFields({ changes, before, after }: TouchedProxy): string[] {
  return changes.flatMap(({ typeUrl, name }) => {
    if (typeUrl !== typeUrls.listener) return [];
    const [old, now] = [before, after].map((resources) =>
      resources.listeners().find((listener) => listener.name === name),
    );
    // Whatever comes or goes whole is followed as far as it is simulated.
    if (!old || !now) return [];
    const [managers, others] = [managersOf(old), managersOf(now)];
    return [
      ...differing(old, now, known.listener),
      ...[...managers].flatMap(([chain, manager]) => unknownInManager(manager, others.get(chain) ?? manager)),
    ];
  });
}

function unknownInManager(old: HttpConnectionManager, now: HttpConnectionManager): string[] {
  return [
    ...differing(old, now, known.manager),
    ...differing(commonOf(old), commonOf(now), known.common),
    ...differing(routerOf(old), routerOf(now), known.router),
  ];
}

function commonOf({ commonHttpProtocolOptions: options }: HttpConnectionManager): object {
  return options ?? create(HttpProtocolOptionsSchema);
}

function routerOf({ httpFilters }: HttpConnectionManager): object {
  const router = httpFilters.find(({ name }) => name === 'envoy.filters.http.router')?.configType;
  return (
    (router?.case === 'typedConfig' ? unpack(router.value, RouterSchema) : undefined) ?? create(RouterSchema)
  );
}

function differing(old: object, now: object, ignored: ReadonlySet<string> = new Set()): string[] {
  const [a, b] = [old, now] as readonly Readonly<Record<string, unknown>>[];
  const names = new Set([...Object.keys(old), ...Object.keys(now)]);
  names.delete('$typeName');
  return [...names].filter((name) => !ignored.has(name) && !deepEqual(a?.[name], b?.[name]));
}

/** By filter chain. */
function managersOf({ filterChains, defaultFilterChain }: Listener): Map<string, HttpConnectionManager> {
  const chains = [...filterChains, defaultFilterChain];
  return new Map(
    chains.flatMap((chain, index) =>
      (chain?.filters ?? []).flatMap(({ configType }) => {
        const config: Any | undefined = configType.case === 'typedConfig' ? configType.value : undefined;
        const manager = unpack(config, HttpConnectionManagerSchema);
        return manager ? [[chain?.name || String(index), manager] as const] : [];
      }),
    ),
  );
}
