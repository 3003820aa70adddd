import type { Any } from '@bufbuild/protobuf/wkt';
import {
  type HttpConnectionManager,
  HttpConnectionManagerSchema,
} from '../../gen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { deepEqual } from '../kit/deep-equal.ts';
import type { Model } from '../model/model.ts';
import { type DecodedResources, unpack } from '../simulate/decoded-resources.ts';
import { typeUrls } from '../snapshot/resource.ts';
import type { ResourceChange, Touched, TouchedProxy } from './touched.ts';

/** Kinds that put into proxies what they like. */
const opaqueKinds: ReadonlySet<string> = new Set(['EnvoyFilter', 'WasmPlugin']);

/**
 * What a change brings that cannot be followed to requests, in words. Filters that are not simulated can: whatever they do, they do it to
 * requests that pass them.
 */
export function unforeseen(before: Model, after: Model, { proxies }: Touched): string[] {
  const objects = proxies.length > 0 ? changedObjects(before, after) : [];
  if (objects.length === 0) return [];
  const fields = new Set<string>();
  const seen = new Set<readonly ResourceChange[]>();
  for (const proxy of proxies) {
    if (seen.has(proxy.changes)) continue;
    seen.add(proxy.changes);
    for (const field of unknownFields(proxy)) fields.add(field);
  }
  if (fields.size === 0) return [];
  return [`${objects.join(', ')}: what ${[...fields].sort().join(', ')} do to requests is not simulated`];
}

function changedObjects(before: Model, after: Model): string[] {
  const ids = new Set([...before.objects.keys(), ...after.objects.keys()]);
  return [...ids].flatMap((id) => {
    const [old, now] = [before, after].map((model) => model.objects.get(id)?.object);
    const { kind, metadata } = now ?? old ?? {};
    if (kind === undefined || !opaqueKinds.has(kind) || deepEqual(old?.spec, now?.spec)) return [];
    return [`${kind} ${metadata?.namespace}/${metadata?.name}`];
  });
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
    ...['httpFilters', 'routeSpecifier', 'statPrefix', 'accessLog', 'accessLogOptions', 'tracing'],
    ...['codecType', 'normalizePath', 'useRemoteAddress', 'xffNumTrustedHops', 'skipXffAppend'],
    ...['serverName', 'serverHeaderTransformation', 'requestIdExtension', 'generateRequestId'],
    ...[
      'streamIdleTimeout',
      'requestTimeout',
      'requestHeadersTimeout',
      'drainTimeout',
      'delayedCloseTimeout',
    ],
    ...['commonHttpProtocolOptions', 'httpProtocolOptions', 'http2ProtocolOptions', 'maxRequestHeadersKb'],
    ...[
      'proxyStatusConfig',
      'appendXForwardedPort',
      'forwardClientCertDetails',
      'setCurrentClientCertDetails',
    ],
  ]),
};

function unknownFields({ changes, before, after }: TouchedProxy): string[] {
  return changes.flatMap(({ typeUrl, name }) => {
    if (typeUrl !== typeUrls.listener) return [];
    const [old, now] = [before, after].map((resources) =>
      resources.listeners().find((listener) => listener.name === name),
    );
    // Whatever comes or goes whole is followed as far as it is simulated.
    if (!old || !now) return [];
    const [managers, others] = [managersOf(before, name), managersOf(after, name)];
    return [
      ...differing(old, now, known.listener),
      ...[...managers].flatMap(([chain, manager]) =>
        differing(manager, others.get(chain) ?? manager, known.manager),
      ),
    ];
  });
}

function differing(old: object, now: object, ignored: ReadonlySet<string> = new Set()): string[] {
  const [a, b] = [old, now] as readonly Readonly<Record<string, unknown>>[];
  const names = new Set([...Object.keys(old), ...Object.keys(now)]);
  return [...names].filter((name) => !ignored.has(name) && !deepEqual(a?.[name], b?.[name]));
}

/** By filter chain. */
function managersOf(resources: DecodedResources, wanted: string): Map<string, HttpConnectionManager> {
  const listener = resources.listeners().find(({ name }) => name === wanted);
  const chains = [...(listener?.filterChains ?? []), listener?.defaultFilterChain];
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
