import { dirname } from 'node:path';
import { check } from '../../assertions/check.ts';
import { CodedError } from '../../kit/coded-error.ts';
import { verifySignature } from '../../kit/verify-signature.ts';
import type { Model } from '../../model/model.ts';
import type { Proof } from '../../prove/prove.ts';
import { prove } from '../../prove/prove.ts';
import { sourceWords } from '../explain/format-explanation.ts';
import { type ModelSource, modelOf, sourceOfFiles } from '../explain/model-source.ts';
import { filesAt } from '../files-at.ts';
import { requestWords, sentence } from '../plan/format-classes.ts';
import { isTestFile } from './is-test-file.ts';
import type { EnvoyRun, OnEnvoy } from './on-envoy/run-on-envoy.ts';
import { readTestFile, type TestCase, type TestFile } from './read-test-file.ts';

export interface TestResult {
  readonly name: string;
  readonly file: string;
  readonly line: number;
  readonly ok: boolean;
  readonly ms: number;
  readonly mismatches: readonly {
    readonly field: string;
    readonly expected: string;
    readonly actual: string;
  }[];
  /** What happens instead. */
  readonly summary: string;
  /** What made it so: words and place. */
  readonly decided: readonly { readonly what: string; readonly place: string }[];
  /** With real Envoys: what they made of it. */
  readonly envoy?: Omit<OnEnvoy, 'mismatches'>;
}

export interface TestRun {
  readonly results: readonly TestResult[];
  /** Absent: on files alone. */
  readonly envoy?: { readonly version?: string; readonly proxies: number };
}

export interface RunOptions {
  /** Configuration in place of what the files name. */
  readonly config: readonly string[];
  /** Sends the requests through stock Envoys too; ends them when `signal` is aborted. */
  readonly envoy?: { readonly signal: AbortSignal; readonly log: (line: string) => void };
}

interface Tested {
  readonly source: ModelSource;
  readonly model: Model;
}

/** Files named, and every `*.mesh-test.yaml` below directories. */
export function findTestFiles(paths: readonly string[]): string[] {
  return paths.flatMap((path) => filesAt(path, isTestFile, true));
}

/** Runs files one after the other. */
export async function runTestFiles(files: readonly string[], options: RunOptions): Promise<TestRun> {
  const meshes = new Map<string, Tested>();
  const found: { readonly tested: Tested; readonly one: TestCase; readonly result: TestResult }[] = [];
  for (const file of files.map(readTestFile)) {
    const tested = await meshOf(file, options.config, meshes);
    for (const one of file.cases) found.push({ tested, one, result: runCase(tested.model, one) });
  }
  if (!options.envoy) return { results: found.map(({ result }) => result) };
  const { runOnEnvoy } = await import('./on-envoy/run-on-envoy.ts');
  const runs: EnvoyRun[] = [];
  for (const tested of meshes.values()) {
    const cases = found.filter((one) => one.tested === tested).map(({ one }) => one);
    runs.push(await runOnEnvoy(tested.model, tested.source, cases, options.envoy));
  }
  const version = runs.find((run) => run.version !== undefined)?.version;
  return {
    results: found.map(({ one, result }) => {
      const seen = runs.map(({ cases }) => cases.get(one)).find((on) => on !== undefined);
      return seen ? onEnvoy(result, seen) : result;
    }),
    envoy: {
      ...(version === undefined ? {} : { version }),
      proxies: runs.reduce((sum, { proxies }) => sum + proxies, 0),
    },
  };
}

/** What Envoy did counts; of what was not sent, or does not show, what the files say. */
function onEnvoy(result: TestResult, { mismatches: seen, ...envoy }: OnEnvoy): TestResult {
  if (!seen) return { ...result, envoy };
  const kept = result.mismatches.filter(({ field }) => envoy.notChecked?.includes(field));
  const mismatches = [...seen, ...kept];
  return { ...result, ok: mismatches.length === 0, mismatches, envoy };
}

async function meshOf(
  file: TestFile,
  config: readonly string[],
  meshes: Map<string, Tested>,
): Promise<Tested> {
  const given = config.length > 0 ? config : file.config;
  if (given.length === 0)
    throw new CodedError(
      'TestFileInvalid',
      `${file.file}:1:1: it names no configuration; write config: with paths relative to ${dirname(file.file)}, or run with -f`,
    );
  const key = given.join('\n');
  const known = meshes.get(key);
  if (known) return known;
  const source = await sourceOfFiles(given, { recursive: true });
  const tested = { source, model: modelOf(source) };
  meshes.set(key, tested);
  return tested;
}

function runCase(model: Model, { asks, name, file, line }: TestCase): TestResult {
  const begun = performance.now();
  const result = 'unreachable' in asks ? unreachable(model, asks) : request(model, asks);
  return { name, file, line, ok: result.mismatches.length === 0, ms: performance.now() - begun, ...result };
}

type Answer = Pick<TestResult, 'mismatches' | 'summary' | 'decided'>;

function request(
  model: Model,
  { question, expect }: Extract<TestCase['asks'], { question: unknown }>,
): Answer {
  const { mismatches, summary, decided } = check(model, question, expect, {
    now: Date.now(),
    verify: verifySignature,
  });
  return { mismatches, summary, decided: decided.map(({ what, by }) => ({ what, place: sourceWords(by) })) };
}

function unreachable(
  model: Model,
  { unreachable: claim }: Extract<TestCase['asks'], { unreachable: unknown }>,
): Answer {
  const result = prove(model, claim, { timeMs: 30_000, now: () => performance.now() });
  if (!result.ok)
    return {
      mismatches: [{ field: 'unreachable', expected: claim.text, actual: result.error.message }],
      summary: result.error.message,
      decided: [],
    };
  const { proof } = result;
  if (proof.status === 'proved') return { mismatches: [], summary: `nothing ${claim.text}`, decided: [] };
  return {
    mismatches: [{ field: 'unreachable', expected: `nothing ${claim.text}`, actual: actualWords(proof) }],
    summary: proof.counterExample ? sentence(proof.counterExample.outcome) : proof.unknown.join('; '),
    decided: (proof.counterExample?.decidedBy ?? []).map((by) => ({
      what: `${by.kind} ${by.name}`,
      place: sourceWords(by),
    })),
  };
}

function actualWords({ counterExample, unknown }: Proof): string {
  if (!counterExample) return `not known: ${unknown.join('; ')}`;
  const { from, outside, outcome: _, decidedBy: __, ...rest } = counterExample;
  const words = requestWords(rest);
  return `${words} from ${from ?? 'anyone, in plaintext,'} gets through`;
}
