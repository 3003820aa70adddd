import {
  clone,
  type DescField,
  type DescMessage,
  isMessage,
  type Message,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { isReflectMessage, type ReflectMessage, reflect } from '@bufbuild/protobuf/reflect';
import { type Any, AnySchema, anyUnpack } from '@bufbuild/protobuf/wkt';
import { envoyTypes, typeNameOf } from '../../../config/envoy-value/envoy-types.ts';

export interface MergeOptions {
  /** Lists of the patch take the place of those that are there (MERGE_AND_REPLACE_LIST) instead of being appended. */
  readonly replaceLists: boolean;
}

/** Messages that are values: half of one and half of another would be nobody's. */
const values: ReadonlySet<string> = new Set([
  'google.protobuf.Duration',
  'google.protobuf.Timestamp',
  'google.protobuf.Value',
  'google.protobuf.FieldMask',
]);

/**
 * Merges a patch into a message in place: scalars replace, messages merge, lists are appended, entries of maps replace those of the
 * same key. Where an `Any` meets one of the same type, what they hold is merged: Envoy's extension settings (a cluster's protocol
 * options, a TLS context) are such, and the patch of one of their fields must not lose the others.
 */
export function mergeMessage<D extends DescMessage>(
  schema: D,
  target: MessageShape<D>,
  patch: MessageShape<D>,
  options: MergeOptions,
): void {
  mergeReflected(reflect(schema, target, false), reflect(schema, patch, false), options);
}

function mergeReflected(target: ReflectMessage, patch: ReflectMessage, options: MergeOptions): void {
  for (const field of patch.desc.fields) {
    if (!patch.isSet(field)) continue;
    if (field.fieldKind === 'list') mergeList(target, patch, field, options);
    else if (field.fieldKind === 'map') mergeMap(target, patch, field, options);
    else if (field.fieldKind === 'message') mergeSingle(target, patch, field, options);
    else target.set(field, patch.get(field));
  }
}

type ListField = DescField & { fieldKind: 'list' };
type MapField = DescField & { fieldKind: 'map' };
type MessageField = DescField & { fieldKind: 'message' };

function mergeList(
  target: ReflectMessage,
  patch: ReflectMessage,
  field: ListField,
  options: MergeOptions,
): void {
  const list = target.get(field);
  if (options.replaceLists) list.clear();
  for (const item of patch.get(field)) list.add(copy(item));
}

function mergeMap(
  target: ReflectMessage,
  patch: ReflectMessage,
  field: MapField,
  options: MergeOptions,
): void {
  const map = target.get(field);
  for (const [key, value] of patch.get(field)) {
    const old = map.get(key);
    const isAny = isReflectMessage(value, AnySchema) && isReflectMessage(old, AnySchema);
    map.set(
      key,
      isAny
        ? reflect(AnySchema, mergeAny(old.message as Any, value.message as Any, options), false)
        : copy(value),
    );
  }
}

function mergeSingle(
  target: ReflectMessage,
  patch: ReflectMessage,
  field: MessageField,
  options: MergeOptions,
): void {
  const value = patch.get(field);
  if (
    !target.isSet(field) ||
    values.has(field.message.typeName) ||
    field.message.typeName.endsWith('Value')
  ) {
    target.set(field, copy(value) as typeof value);
    return;
  }
  const old = target.get(field);
  if (field.message.typeName === AnySchema.typeName) {
    const merged = mergeAny(old.message as Any, value.message as Any, options);
    target.set(field, reflect(AnySchema, merged, false));
  } else mergeReflected(old, value, options);
}

/** Values of a patch are shared by everything that it changes: what goes into a message is a copy. */
function copy<T>(value: T): T {
  if (!isReflectMessage(value)) return value;
  return reflect(value.desc, clone(value.desc, value.message), false) as T;
}

/** Merges what two `Any`s hold if it is of one type that we know; otherwise the patch's takes the place. */
export function mergeAny(old: Any, patch: Any, options: MergeOptions): Any {
  const schema = envoyTypes.getMessage(typeNameOf(patch.typeUrl));
  if (!schema || typeNameOf(old.typeUrl) !== typeNameOf(patch.typeUrl)) return clone(AnySchema, patch);
  const target = anyUnpack(old, envoyTypes) as Message | undefined;
  const source = anyUnpack(patch, envoyTypes) as Message | undefined;
  if (!target || !source || !isMessage(target)) return clone(AnySchema, patch);
  mergeMessage(schema, target as MessageShape<typeof schema>, source as MessageShape<typeof schema>, options);
  return { ...clone(AnySchema, old), value: toBinary(schema, target as MessageShape<typeof schema>) };
}
