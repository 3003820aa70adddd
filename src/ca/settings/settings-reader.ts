import { isAbsolute, join } from 'node:path';
import { isObject } from '../../kit/json.ts';

type Json = Readonly<Record<string, unknown>>;

/** Reads settings and collects complaints, each with its path, instead of stopping at the first. */
export class SettingsReader {
  readonly errors: string[] = [];
  readonly #directory: string;

  /** Relative paths are meant from `directory`. */
  constructor(directory: string) {
    this.#directory = directory;
  }

  object(path: string, value: unknown): Json {
    if (isObject(value)) return value;
    this.complain(path, 'must be a mapping');
    return {};
  }

  text(path: string, value: unknown): string {
    if (typeof value === 'string' && value !== '' && value.length <= 4_096) return value;
    this.complain(path, 'must be a non-empty text');
    return '';
  }

  number(path: string, value: unknown, min: number, max: number): number {
    if (typeof value === 'number' && value >= min && value <= max) return value;
    this.complain(path, `must be a number from ${min} to ${max}`);
    return min;
  }

  oneOf<T extends string>(path: string, value: unknown, allowed: readonly T[]): T {
    const found = allowed.find((candidate) => candidate === value);
    if (found === undefined) this.complain(path, `must be one of ${allowed.join(', ')}`);
    return found ?? (allowed[0] as T);
  }

  /** At most 100 entries; absent: none. */
  list<T>(path: string, value: unknown, read: (path: string, value: unknown) => T): T[] {
    if (value === undefined) return [];
    if (Array.isArray(value) && value.length <= 100) return value.map((one, i) => read(`${path}[${i}]`, one));
    this.complain(path, 'must be a list of at most 100 entries');
    return [];
  }

  /** Absolute. */
  path(path: string, value: unknown): string | undefined {
    if (value === undefined) return undefined;
    const text = this.text(path, value);
    return isAbsolute(text) ? text : join(this.#directory, text);
  }

  neededPath(path: string, value: unknown): string {
    if (value === undefined) this.complain(path, 'is needed: the path of a file');
    return this.path(path, value) ?? '';
  }

  url(path: string, value: unknown): string | undefined {
    if (value === undefined) return undefined;
    const text = this.text(path, value);
    if (!URL.canParse(text) || new URL(text).protocol !== 'https:')
      this.complain(path, 'must be an https:// URL');
    return text.replace(/\/+$/, '');
  }

  hostPort(path: string, value: unknown): string {
    const text = this.text(path, value);
    if (!/^(\[[0-9a-fA-F:.]+\]|[^:[\]\s]+):\d{1,5}$/.test(text)) this.complain(path, 'must be host:port');
    return text;
  }

  known(path: string, object: Json, names: readonly string[]): void {
    for (const key of Object.keys(object))
      if (!names.includes(key)) this.complain(path === '' ? key : `${path}.${key}`, 'is not a known setting');
  }

  /** Without what is undefined. */
  optional<T extends Record<string, unknown>>(values: T): { [K in keyof T]?: NonNullable<T[K]> } {
    return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never;
  }

  complain(path: string, what: string): void {
    this.errors.push(`${path === '' ? 'the file' : path} ${what}`);
  }
}
