import { readField } from './json-value.ts';
import { CelError, CelObject, type CelValue, isList, isMap, numeric, Optional, typeName } from './value.ts';

/** `value.name`. An optional passes through: its field becomes an optional too. */
export function selectField(value: CelValue, property: string, name: string): CelValue {
  if (value instanceof CelObject) {
    const field = readField(value, property);
    if (field.value !== undefined) return field.value;
    throw new CelError(field.declared ? `no such key: ${name}` : `undefined field '${name}'`);
  }
  if (isMap(value)) {
    const item = value.get(name);
    if (item === undefined) throw new CelError(`no such key: ${name}`);
    return item;
  }
  if (value instanceof Optional) {
    if (value.value === undefined || !hasField(value.value, property)) return Optional.none;
    return new Optional(selectField(value.value, property, name));
  }
  throw new CelError(`${typeName(value)} has no fields`);
}

export function hasField(value: CelValue, property: string): boolean {
  if (value instanceof CelObject) {
    const field = readField(value, property);
    if (!field.declared) throw new CelError(`undefined field '${property}'`);
    return field.value !== undefined;
  }
  if (isMap(value)) return value.has(property);
  if (value instanceof Optional) return value.value !== undefined && hasField(value.value, property);
  throw new CelError(`${typeName(value)} has no fields`);
}

/** `value[index]`, or `value[?index]`. */
export function indexValue(value: CelValue, index: CelValue, optional: boolean): CelValue {
  if (value instanceof Optional) {
    if (value.value === undefined) return Optional.none;
    return indexValue(value.value, index, true);
  }
  const found = lookUp(value, index);
  if (optional) return found === undefined ? Optional.none : new Optional(found);
  if (found !== undefined) return found;
  throw new CelError(isList(value) ? 'index out of range' : 'no such key');
}

function lookUp(value: CelValue, index: CelValue): CelValue | undefined {
  if (isList(value)) {
    const position = numeric(index);
    if (position === undefined) throw new CelError(`a list has no index of type ${typeName(index)}`);
    return value[Number(position)];
  }
  if (isMap(value)) return value.get(index);
  if (value instanceof CelObject && typeof index === 'string') return readField(value, index).value;
  throw new CelError(`${typeName(value)} has no items`);
}
