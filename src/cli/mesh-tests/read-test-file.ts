import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { type Document, isNode, LineCounter, parseDocument } from 'yaml';
import { type Expectation, expectationFields, placeFields } from '../../assertions/expectation.ts';
import type { Question } from '../../explain/question.ts';
import { CodedError } from '../../kit/coded-error.ts';
import { isObject } from '../../kit/json.ts';
import { readOrNotFound } from '../../kit/read-or-not-found.ts';
import { type Claim, parseClaim } from '../../prove/claim.ts';

/** One assertion of a `*.mesh-test.yaml`. */
export interface TestCase {
  readonly name: string;
  readonly file: string;
  readonly line: number;
  readonly asks:
    | { readonly question: Question; readonly expect: Expectation }
    | { readonly unreachable: Claim };
}

export interface TestFile {
  readonly file: string;
  /** Files and directories of the mesh that is tested, absolute. Empty: the command names them. */
  readonly config: readonly string[];
  readonly cases: readonly TestCase[];
}

const caseFields = ['name', 'from', 'request', 'headers', 'claims', 'as', 'expect', 'unreachable'];

/** Reads a test file. Throws `TestFileInvalid` with every problem at its line. */
export function readTestFile(file: string): TestFile {
  const text = readOrNotFound(file, () => readFileSync(file, 'utf8'));
  const { found, problems } = parseTestFile(file, text);
  if (problems.length > 0) throw new CodedError('TestFileInvalid', problems.map(problemText).join('\n'));
  return found;
}

/** Line and column start at 1. */
export interface TestFileProblem {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

/** Reads the text of a test file; with problems, what was found is not whole. */
export function parseTestFile(
  file: string,
  text: string,
): { found: TestFile; problems: readonly TestFileProblem[] } {
  const reader = new Reader(file, text);
  return { found: reader.file(), problems: reader.problems };
}

const problemText = ({ file, line, column, message }: TestFileProblem): string =>
  `${file}:${line}:${column}: ${message}`;

type Path = readonly (string | number)[];

class Reader {
  readonly problems: TestFileProblem[] = [];
  readonly #file: string;
  readonly #lines = new LineCounter();
  readonly #document: Document;

  constructor(file: string, text: string) {
    this.#file = file;
    this.#document = parseDocument(text, { lineCounter: this.#lines });
    for (const { message, linePos } of this.#document.errors)
      this.problems.push({
        file,
        line: linePos?.[0].line ?? 1,
        column: linePos?.[0].col ?? 1,
        message: message.split('\n')[0] ?? '',
      });
  }

  file(): TestFile {
    const value = this.problems.length > 0 ? {} : ((this.#document.toJS() ?? {}) as Record<string, unknown>);
    this.#known([], value, ['config', 'tests']);
    const config = ([] as unknown[]).concat(value.config ?? []).filter((one) => {
      if (typeof one !== 'string') this.#problem(['config'], 'config is a path, or a list of paths');
      return typeof one === 'string';
    }) as string[];
    const tests = Array.isArray(value.tests) ? (value.tests as unknown[]) : [];
    if (!Array.isArray(value.tests) && this.problems.length === 0)
      this.#problem([], 'tests is missing: a list of cases with request and expect, or unreachable');
    return {
      file: this.#file,
      config: config.map((path) => resolve(dirname(this.#file), path)),
      cases: tests.flatMap((one, index) => this.#case(['tests', index], one) ?? []),
    };
  }

  #case(path: Path, value: unknown): TestCase | undefined {
    if (!isObject(value)) {
      this.#problem(path, 'a test is a mapping with request and expect, or with unreachable');
      return undefined;
    }
    this.#known(path, value, caseFields);
    const { name } = value;
    const asks =
      value.unreachable === undefined ? this.#question(path, value) : this.#claim(path, value.unreachable);
    if (!asks) return undefined;
    const given =
      'unreachable' in asks
        ? `unreachable ${asks.unreachable.text}`
        : `${asks.question.method ?? 'GET'} ${asks.question.url} from ${asks.question.from}`;
    return { name: typeof name === 'string' ? name : given, file: this.#file, line: this.#line(path), asks };
  }

  #claim(path: Path, value: unknown): TestCase['asks'] | undefined {
    const parsed = parseClaim(String(value));
    if (parsed.ok) return { unreachable: parsed.value };
    this.#problem([...path, 'unreachable'], parsed.error);
    return undefined;
  }

  #question(path: Path, value: Record<string, unknown>): TestCase['asks'] | undefined {
    const { from, request, headers = {}, claims, as, expect } = value;
    if (typeof from !== 'string')
      this.#problem(path, 'from is missing: a workload, an IP address of one, or ingress');
    const match = typeof request === 'string' ? /^(?:([A-Z-]+)\s+)?(\S+)$/.exec(request.trim()) : null;
    if (!match)
      this.#problem(
        path,
        'request is missing: METHOD and URL, or the URL alone, such as GET http://reviews:9080/',
      );
    if (!isObject(headers)) this.#problem([...path, 'headers'], 'headers is a mapping of names to values');
    if (claims !== undefined && !isObject(claims)) this.#problem([...path, 'claims'], 'claims is a mapping');
    if (!isObject(expect))
      this.#problem(path, `expect is missing: a mapping with ${Object.keys(expectationFields).join(', ')}`);
    if (typeof from !== 'string' || !match || !isObject(headers) || !isObject(expect)) return undefined;
    this.#expectation([...path, 'expect'], expect);
    return {
      question: {
        from,
        url: match[2] ?? '',
        ...(match[1] === undefined ? {} : { method: match[1] }),
        headers: Object.fromEntries(
          Object.entries(headers).map(([name, text]) => [name.toLowerCase(), String(text)]),
        ),
        ...(isObject(claims) ? { claims } : {}),
        ...(typeof as === 'string' ? { as } : {}),
      },
      expect: expect as Expectation,
    };
  }

  #expectation(path: Path, value: Record<string, unknown>): void {
    this.#typed(path, value, expectationFields);
    for (const [index, place] of ([] as unknown[]).concat(value.goesTo ?? []).entries())
      if (isObject(place))
        this.#typed(
          Array.isArray(value.goesTo) ? [...path, 'goesTo', index] : [...path, 'goesTo'],
          place,
          placeFields,
        );
    if (Object.keys(value).length === 0)
      this.#problem(path, `expect is empty: name one of ${Object.keys(expectationFields).join(', ')}`);
  }

  #typed(
    path: Path,
    value: Record<string, unknown>,
    fields: Readonly<Record<string, readonly string[]>>,
  ): void {
    this.#known(path, value, Object.keys(fields));
    for (const [name, one] of Object.entries(value)) {
      const type = Array.isArray(one) ? 'array' : typeof one;
      const allowed = fields[name];
      if (allowed && !allowed.includes(type))
        this.#problem(
          [...path, name],
          `${name} must be ${allowed.join(' or ')}, not ${one === null ? 'null' : type}`,
        );
    }
  }

  #known(path: Path, value: Record<string, unknown>, fields: readonly string[]): void {
    for (const name of Object.keys(value))
      if (!fields.includes(name))
        this.#problem([...path, name], `${name} is not known here; there are ${fields.join(', ')}`);
  }

  #problem(path: Path, message: string): void {
    const { line, col: column } = this.#position(path);
    this.problems.push({ file: this.#file, line, column, message });
  }

  #line(path: Path): number {
    return this.#position(path).line;
  }

  #position(path: Path): { line: number; col: number } {
    for (let length = path.length; length >= 0; length--) {
      const node = length === 0 ? this.#document.contents : this.#document.getIn(path.slice(0, length), true);
      const range = isNode(node) ? node.range : undefined;
      if (range) return this.#lines.linePos(range[0]);
    }
    return { line: 1, col: 1 };
  }
}
