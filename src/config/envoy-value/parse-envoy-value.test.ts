import { anyUnpack } from '@bufbuild/protobuf/wkt';
import { expect, test } from 'vitest';
import { ClusterSchema } from '../../../gen/proto/envoy/config/cluster/v3/cluster_pb.js';
import { HttpFilterSchema } from '../../../gen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { rootPath } from '../field-path.ts';
import { envoyTypes } from './envoy-types.ts';
import { parseEnvoyValue } from './parse-envoy-value.ts';

const at = rootPath.field('value');

function issuesOf(schema: Parameters<typeof parseEnvoyValue>[0], json: unknown): string[] {
  const parsed = parseEnvoyValue(schema, json, at);
  return parsed.ok ? [] : parsed.issues.map(({ path, code }) => `${path} ${code}`);
}

function typed(type: string, fields: object) {
  return { name: 'x', typed_config: { '@type': `type.googleapis.com/${type}`, ...fields } };
}

const lua = 'envoy.extensions.filters.http.lua.v3.Lua';

test('each complaint has its place', () => {
  expect(
    issuesOf(ClusterSchema, {
      connectTimeut: '5s',
      type: 'STATICX',
      connect_timeout: 5,
      upstream_connection_options: { tcp_keepalive: { keepalive_time: 'x' } },
      load_assignment: { endpoints: [{}, { priority: -1 }] },
      max_requests_per_connection: true,
      alt_stat_name: 7,
      filters: {},
    }),
  ).toEqual([
    'value.connectTimeut UnknownField',
    'value.type FieldValueNotSupported',
    'value.connect_timeout FieldValueTypeInvalid',
    'value.upstream_connection_options.tcp_keepalive.keepalive_time FieldValueTypeInvalid',
    'value.load_assignment.endpoints[1].priority FieldValueTypeInvalid',
    'value.max_requests_per_connection FieldValueTypeInvalid',
    'value.alt_stat_name FieldValueTypeInvalid',
    'value.filters FieldValueTypeInvalid',
  ]);
  expect(issuesOf(HttpFilterSchema, typed(lua, { inlineCod: 'x' }))).toEqual([
    'value.typed_config.inlineCod UnknownField',
  ]);
  expect(issuesOf(HttpFilterSchema, { name: 'x', typed_config: {} })).toEqual([
    'value.typed_config[@type] FieldValueRequired',
  ]);
  expect(issuesOf(HttpFilterSchema, typed('envoy.config.filter.http.lua.v2.Lua', {}))).toEqual([
    'value.typed_config[@type] FieldValueNotSupported',
  ]);
  expect(issuesOf(ClusterSchema, { type: 'STATIC', cluster_type: { name: 'x' } })).toEqual([
    'value.cluster_type FieldValueInvalid',
  ]);
  expect(issuesOf(ClusterSchema, 'text')).toEqual(['value FieldValueTypeInvalid']);
});

test('nesting without end is refused', () => {
  const deep: Record<string, unknown> = {};
  let inner = deep;
  for (let depth = 0; depth < 10_000; depth++) {
    const next = {};
    inner.default_filter = { and_filter: { filters: [next] } };
    inner = next;
  }
  expect(parseEnvoyValue(ClusterSchema, deep).ok).toBe(false);
});

function configOf(json: unknown) {
  const parsed = parseEnvoyValue(HttpFilterSchema, json);
  if (!parsed.ok || parsed.value.configType.case !== 'typedConfig') throw new Error(JSON.stringify(parsed));
  return parsed.value.configType.value;
}

test('what we do not know travels as a TypedStruct', () => {
  const any = configOf(typed('example.Unknown', { deep: [1, { a: 'b' }] }));
  expect(any.typeUrl).toBe('type.googleapis.com/xds.type.v3.TypedStruct');
  expect(anyUnpack(any, envoyTypes)).toMatchObject({
    typeUrl: 'type.googleapis.com/example.Unknown',
    value: { deep: [1, { a: 'b' }] },
  });
});

test('a TypedStruct of a known message becomes the message', () => {
  const any = configOf(
    typed('udpa.type.v1.TypedStruct', {
      type_url: `type.googleapis.com/${lua}`,
      value: { stat_prefix: 'a' },
    }),
  );
  expect(anyUnpack(any, envoyTypes)).toMatchObject({ $typeName: lua, statPrefix: 'a' });
});

test('durations may be written as Go does', () => {
  const seconds = (written: string) => {
    const parsed = parseEnvoyValue(ClusterSchema, { connect_timeout: written });
    return parsed.ok ? parsed.value.connectTimeout : undefined;
  };
  expect(seconds('1m30s')).toMatchObject({ seconds: 90n, nanos: 0 });
  expect(seconds('500ms')).toMatchObject({ seconds: 0n, nanos: 500_000_000 });
  expect(seconds('1.5s')).toMatchObject({ seconds: 1n, nanos: 500_000_000 });
});
