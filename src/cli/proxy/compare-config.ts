import { fromJson, type JsonValue, toJson } from '@bufbuild/protobuf';
import { AnySchema } from '@bufbuild/protobuf/wkt';
import { envoyTypes } from '../../config/envoy-value/envoy-types.ts';
import { isObject } from '../../kit/json.ts';
import type { ConfigDump } from './config-dump.ts';

/** One resource in which what was sent and what Envoy holds are not the same. */
export interface ConfigDifference {
  readonly type: ComparedType;
  readonly name: string;
  /** `missing`: Envoy does not hold it. `extra`: it was not sent. `differs`: see `fields`. */
  readonly state: 'missing' | 'extra' | 'differs';
  /** Why Envoy refused a version of it, in its words. */
  readonly refusal?: string;
  readonly fields: readonly FieldDifference[];
}

export interface FieldDifference {
  /** `filter_chains[0].filters[1].name`, with the field names of Envoy's documentation. */
  readonly path: string;
  /** As JSON; absent: the field is not set. */
  readonly sent?: unknown;
  readonly held?: unknown;
}

export interface ConfigComparison {
  /** How many resources were sent, by type. */
  readonly sent: Readonly<Record<ComparedType, number>>;
  readonly differences: readonly ConfigDifference[];
}

const comparedTypes = ['Cluster', 'Endpoints', 'Listener', 'Route', 'Extension'] as const;
type ComparedType = (typeof comparedTypes)[number];

type Json = Readonly<Record<string, unknown>>;

interface Entry {
  readonly value: unknown;
  readonly refusal?: string;
}

/** Fields told of one resource; more are counted by who prints them. */
export const mostFields = 20;

/**
 * Compares what the control plane has for a proxy (its `/debug/config_dump`) with what Envoy holds (its own config dump, with
 * endpoints). Both are read as protobuf first, so that only meaning counts: field names, defaults and orders of maps do not.
 */
export function compareConfig(sent: ConfigDump, held: ConfigDump): ConfigComparison {
  const differences: ConfigDifference[] = [];
  const counts = {} as Record<ComparedType, number>;
  for (const type of comparedTypes) {
    const wanted = entries(sent, type);
    const present = entries(held, type);
    counts[type] = wanted.size;
    for (const name of [...new Set([...wanted.keys(), ...present.keys()])].sort()) {
      const difference = compareOne(type, name, wanted.get(name), present.get(name));
      if (difference) differences.push(difference);
    }
  }
  return { sent: counts, differences };
}

function compareOne(
  type: ComparedType,
  name: string,
  wanted: Entry | undefined,
  present: Entry | undefined,
): ConfigDifference | undefined {
  const refusal = present?.refusal === undefined ? {} : { refusal: present.refusal };
  // Endpoints that are part of a cluster are shown among those that were sent by themselves.
  if (!wanted)
    return present?.value === undefined || type === 'Endpoints'
      ? undefined
      : { type, name, state: 'extra', fields: [] };
  if (present?.value === undefined) return { type, name, state: 'missing', ...refusal, fields: [] };
  const fields = [...fieldDifferences(normal(wanted.value), normal(present.value), '')];
  if (fields.length === 0 && present.refusal === undefined) return undefined;
  return { type, name, state: 'differs', ...refusal, fields };
}

/** The resources of a type by name, out of either dump: ours has the JSON names of protobuf, Envoy's the names of the fields. */
function entries(dump: ConfigDump, type: ComparedType): Map<string, Entry> {
  const found = new Map<string, Entry>();
  const put = (value: unknown, refusal?: string, name = nameOf(value)): void => {
    if (name !== '') found.set(name, { value, ...(refusal === undefined ? {} : { refusal }) });
  };
  const section = (name: string, ...lists: string[]): Json[] =>
    dump.configs
      .filter((config) => config['@type'].endsWith(`.${name}`))
      .flatMap((config) => lists.flatMap((list) => listOf(either(config, list))));
  switch (type) {
    case 'Cluster':
      for (const one of section('ClustersConfigDump', 'dynamic_warming_clusters', 'dynamic_active_clusters'))
        put(one.cluster);
      break;
    case 'Endpoints':
      for (const one of section('EndpointsConfigDump', 'dynamic_endpoint_configs'))
        put(addressesOf(either(one, 'endpoint_config')));
      break;
    case 'Listener':
      for (const one of section('ListenersConfigDump', 'dynamic_listeners')) {
        const state = (either(one, 'active_state') ?? either(one, 'warming_state')) as Json | undefined;
        const failure = either(one, 'error_state') as Json | undefined;
        put(state?.listener, failure ? String(failure.details ?? '') : undefined, String(one.name ?? ''));
      }
      break;
    case 'Route':
      for (const one of section('RoutesConfigDump', 'dynamic_route_configs'))
        put(withSortedHosts(either(one, 'route_config')));
      break;
    case 'Extension':
      for (const one of section('EcdsConfigDump', 'ecds_filters')) put(either(one, 'ecds_filter'));
      break;
  }
  return found;
}

function either(object: Json, field: string): unknown {
  return (
    object[field] ?? object[field.replaceAll(/_([a-z])/g, (_all, letter: string) => letter.toUpperCase())]
  );
}

function listOf(value: unknown): Json[] {
  return Array.isArray(value) ? (value as Json[]) : [];
}

function nameOf(value: unknown): string {
  const object = (value ?? {}) as Json;
  return String(object.name ?? either(object, 'cluster_name') ?? '');
}

/** Virtual hosts that were sent one by one have no order. */
function withSortedHosts(value: unknown): unknown {
  const config = value as Json;
  const hosts = listOf(either(config, 'virtual_hosts')).sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
  const { virtual_hosts: _a, virtualHosts: _b, ...rest } = config;
  return { ...rest, virtual_hosts: hosts };
}

/**
 * Who answers, and with which weight: of endpoints Envoy shows a form of its own, with defaults written in and localities' weights left
 * out.
 */
function addressesOf(value: unknown): unknown {
  const assignment = value as Json;
  const endpoints = listOf(assignment.endpoints).flatMap((locality) =>
    listOf(either(locality, 'lb_endpoints')).map((one) => {
      const { address } = (one.endpoint ?? {}) as { address?: Json };
      const socket = (either(address ?? {}, 'socket_address') ?? {}) as Json;
      const pipe = (address?.pipe ?? {}) as Json;
      const health = String(either(one, 'health_status') ?? 'UNKNOWN');
      return {
        address:
          socket.address === undefined
            ? String(pipe.path ?? '')
            : `${socket.address}:${either(socket, 'port_value')}`,
        weight: Number(either(one, 'load_balancing_weight') ?? 1),
        ...(health === 'UNKNOWN' || health === 'HEALTHY' ? {} : { health }),
        ...(locality.priority ? { priority: locality.priority } : {}),
      };
    }),
  );
  return {
    name: nameOf(value),
    endpoints: Object.fromEntries(
      endpoints
        .sort((a, b) => (a.address < b.address ? -1 : 1))
        .map(({ address, ...rest }) => [address, rest]),
    ),
  };
}

/** The same meaning in one form; what is of a type that is not known here stays as it is. */
function normal(value: unknown): unknown {
  try {
    const any = fromJson(AnySchema, value as JsonValue, { registry: envoyTypes, ignoreUnknownFields: true });
    return toJson(AnySchema, any, { registry: envoyTypes, useProtoFieldName: true } as never);
  } catch {
    return value;
  }
}

function* fieldDifferences(sent: unknown, held: unknown, path: string): Generator<FieldDifference> {
  if (Object.is(sent, held)) return;
  if (Array.isArray(sent) && Array.isArray(held)) {
    for (let i = 0; i < Math.max(sent.length, held.length); i++)
      yield* fieldDifferences(sent[i], held[i], `${path}[${i}]`);
    return;
  }
  if (isObject(sent) && isObject(held)) {
    for (const key of new Set([...Object.keys(sent), ...Object.keys(held)]))
      yield* fieldDifferences(sent[key], held[key], path === '' ? key : `${path}.${key}`);
    return;
  }
  yield {
    path,
    ...(sent === undefined ? {} : { sent }),
    ...(held === undefined ? {} : { held }),
  };
}
