import { isObject, type JsonObject } from '../../../kit/json.ts';

/**
 * A set of field paths, in the shape of Kubernetes' FieldsV1. A path element is kept as its serialised text: `f:name` a
 * field, `k:{"name":"http"}` the list item with these keys, `v:"a"` the item of a set, `i:0` an index.
 */
export class FieldSet {
  readonly members = new Set<string>();
  readonly children = new Map<string, FieldSet>();

  get empty(): boolean {
    if (this.members.size > 0) return false;
    for (const child of this.children.values()) if (!child.empty) return false;
    return true;
  }

  insert(path: readonly string[]): void {
    const last = path.at(-1);
    if (last === undefined) return;
    let set: FieldSet = this;
    for (const step of path.slice(0, -1)) set = set.child(step);
    set.members.add(last);
  }

  /** The set below an element, made when absent. */
  child(element: string): FieldSet {
    let child = this.children.get(element);
    if (!child) {
      child = new FieldSet();
      this.children.set(element, child);
    }
    return child;
  }

  union(other: FieldSet): FieldSet {
    const result = new FieldSet();
    for (const set of [this, other]) for (const member of set.members) result.members.add(member);
    for (const [key, child] of this.children) {
      const theirs = other.children.get(key);
      result.children.set(key, theirs ? child.union(theirs) : child);
    }
    for (const [key, child] of other.children) if (!this.children.has(key)) result.children.set(key, child);
    return result;
  }

  intersection(other: FieldSet): FieldSet {
    const result = new FieldSet();
    for (const member of this.members) if (other.members.has(member)) result.members.add(member);
    for (const [key, child] of this.children) {
      const theirs = other.children.get(key);
      if (theirs) result.keep(key, child.intersection(theirs));
    }
    return result;
  }

  /** Removes exactly the members of `other`; what stands below a removed member stays. */
  difference(other: FieldSet): FieldSet {
    const result = new FieldSet();
    for (const member of this.members) if (!other.members.has(member)) result.members.add(member);
    for (const [key, child] of this.children) {
      const theirs = other.children.get(key);
      result.keep(key, theirs ? child.difference(theirs) : child);
    }
    return result;
  }

  equals(other: FieldSet): boolean {
    return this.difference(other).empty && other.difference(this).empty;
  }

  private keep(key: string, child: FieldSet): void {
    if (!child.empty) this.children.set(key, child);
  }

  /** Every member's path. */
  *paths(prefix: readonly string[] = []): Generator<string[]> {
    for (const member of this.members) yield [...prefix, member];
    for (const [key, child] of this.children) yield* child.paths([...prefix, key]);
  }

  /** The FieldsV1 form: `{"f:spec":{".":{},"f:hosts":{}}}`. */
  toFieldsV1(): JsonObject {
    const result: JsonObject = {};
    const keys = [...new Set([...this.members, ...this.children.keys()])].sort();
    for (const key of keys) {
      const child = this.children.get(key);
      const below = child && !child.empty ? child.toFieldsV1() : {};
      if (child && !child.empty && this.members.has(key)) result[key] = { '.': {}, ...below };
      else if (this.members.has(key) || Object.keys(below).length > 0) result[key] = below;
    }
    return result;
  }

  /** Undefined when `fields` is not of the FieldsV1 form, or nested deeper than `maxDepth`. */
  static fromFieldsV1(fields: unknown, maxDepth = 128): FieldSet | undefined {
    const result = new FieldSet();
    return fill(result, fields, maxDepth) ? result : undefined;
  }
}

function fill(set: FieldSet, fields: unknown, depth: number): boolean {
  if (!isObject(fields) || depth === 0) return false;
  for (const [key, below] of Object.entries(fields)) {
    if (key === '.') continue;
    if (!/^[fkvi]:/.test(key) || !isObject(below)) return false;
    const names = Object.keys(below);
    if (names.length === 0 || names.includes('.')) set.members.add(key);
    if (names.some((name) => name !== '.') && !fill(set.child(key), below, depth - 1)) return false;
  }
  return true;
}

/** A path as Kubernetes prints it in conflicts: `.spec.ports[name="http"].port`. */
export function printPath(path: readonly string[]): string {
  return path.map(printElement).join('');
}

function printElement(element: string): string {
  const value = element.slice(2);
  switch (element[0]) {
    case 'k': {
      const keys = JSON.parse(value) as JsonObject;
      const parts = Object.entries(keys).map(([key, one]) => `${key}=${JSON.stringify(one)}`);
      return `[${parts.join(',')}]`;
    }
    case 'v':
      return `[=${value}]`;
    case 'i':
      return `[${value}]`;
    default:
      return `.${value}`;
  }
}
