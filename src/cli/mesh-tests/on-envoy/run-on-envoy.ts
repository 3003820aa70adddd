import { mismatchesOf } from '../../../assertions/check.ts';
import type { Checked, Mismatch } from '../../../assertions/checked.ts';
import type { Expectation } from '../../../assertions/expectation.ts';
import type { Question } from '../../../explain/question.ts';
import { parseTarget } from '../../../explain/target.ts';
import { systemClock } from '../../../kit/clock.ts';
import { CodedError } from '../../../kit/coded-error.ts';
import { verifySignature } from '../../../kit/verify-signature.ts';
import type { Model } from '../../../model/model.ts';
import { ask } from '../../../request-space/journey.ts';
import { outcomeOf } from '../../../request-space/outcome.ts';
import type { ModelSource } from '../../explain/model-source.ts';
import type { TestCase } from '../read-test-file.ts';
import { type EnvoyMesh, startEnvoyMesh } from './envoy-mesh.ts';
import { involvedIn, mostProxies, proxiesAmong } from './involved.ts';
import { isMixed, type Observed, observe } from './observe.ts';
import { skipReason } from './skip-reason.ts';

/** What real Envoys made of a case. */
export interface OnEnvoy {
  /** Why nothing was sent: the case was checked on files alone. */
  readonly skipped?: string;
  /** Requests that were sent. */
  readonly requests?: number;
  /** What of the expectation was checked on files alone. */
  readonly notChecked?: readonly string[];
  /** Where Envoy does otherwise than predicted. */
  readonly differences?: readonly string[];
  /** What is not as expected on Envoy. */
  readonly mismatches?: readonly Mismatch[];
}

export interface EnvoyRun {
  readonly cases: ReadonlyMap<TestCase, OnEnvoy>;
  readonly version?: string;
  readonly proxies: number;
}

/** Where a request's ways are several, so many requests are sent. */
const sampleSize = 400;
/** What was pushed a moment ago is in force a moment later. */
const patienceMs = 5_000;
/** However slow a machine is: shares stray beyond four standard deviations once in 15,000 samples. */
const fewestTries = 3;

/** Fields that no single answer shows; who called is told by a server's sidecar in a header, to HTTP alone. */
function onFilesAlone({ url }: Question): readonly (keyof Expectation)[] {
  const target = parseTarget(url);
  const bytes = target.ok && ['tcp', 'tls'].includes(target.value.scheme);
  return bytes ? ['timeout', 'retries', 'identity'] : ['timeout', 'retries'];
}

interface Ready {
  readonly one: TestCase;
  readonly question: Question;
  readonly expect: Expectation;
  readonly predicted: Checked;
}

/** Runs the cases of one mesh through stock Envoys. Ends all of them, also when `signal` is aborted. */
export async function runOnEnvoy(
  model: Model,
  source: ModelSource,
  cases: readonly TestCase[],
  { signal, log }: { readonly signal: AbortSignal; readonly log: (line: string) => void },
): Promise<EnvoyRun> {
  const results = new Map<TestCase, OnEnvoy>();
  const involved = new Map<string, Set<string>>();
  const ready: Ready[] = [];
  for (const one of cases) {
    const prepared = prepare(model, one);
    if ('skipped' in prepared) {
      results.set(one, prepared);
      continue;
    }
    const { question, predicted } = prepared;
    const more = involvedIn(model, question, predicted.journey);
    if (proxiesAmong(model, new Set([...involved.keys(), ...more.keys()])) > mostProxies) {
      results.set(one, { skipped: `it would need more than ${mostProxies} proxies with those before it` });
      continue;
    }
    for (const [key, calls] of more) involved.set(key, (involved.get(key) ?? new Set()).union(calls));
    ready.push(prepared);
  }
  if (ready.length === 0) return { cases: results, proxies: 0 };
  const mesh = await startEnvoyMesh(model, source, involved, signal, log);
  try {
    // A proxy that is to prove another identity starts anew: cases of one identity in a row.
    const ordered = ready.toSorted((a, b) => orderOf(a).localeCompare(orderOf(b)));
    for (const each of ordered) results.set(each.one, await runOne(mesh, each, signal));
    return { cases: results, version: mesh.version, proxies: mesh.proxies };
  } finally {
    await mesh.stop();
  }
}

/** Own identities first. */
function orderOf({ question: { as, from } }: Ready): string {
  return as === undefined ? '' : `${from} ${as}`;
}

function prepare(model: Model, one: TestCase): Ready | { readonly skipped: string } {
  if ('unreachable' in one.asks) return { skipped: 'a claim about every request is proved on files' };
  const { question, expect } = one.asks;
  const asked = ask(model, question, { now: Date.now(), verify: verifySignature });
  if (!asked.ok) return { skipped: asked.error.message };
  const { journey } = asked;
  const skipped = skipReason(model, question, journey);
  if (skipped !== undefined) return { skipped };
  return {
    one,
    question,
    expect,
    predicted: { model, question, journey, outcome: outcomeOf(model, journey) },
  };
}

async function runOne(
  mesh: EnvoyMesh,
  { question, expect, predicted }: Ready,
  signal: AbortSignal,
): Promise<OnEnvoy> {
  const hidden = onFilesAlone(question);
  const observable = Object.fromEntries(
    Object.entries(expect).filter(([field]) => !hidden.includes(field as keyof Expectation)),
  ) as Expectation;
  const count = isMixed(predicted) ? sampleSize : 1;
  const until = systemClock.now() + patienceMs;
  for (let tries = 1; ; tries++) {
    const answers = await mesh.send(question, predicted.journey, count);
    if (signal.aborted) throw new CodedError('Interrupted', 'interrupted: all Envoys of the test are ended');
    const { checked, differences }: Observed = observe(predicted, answers);
    const mismatches = mismatchesOf(checked, observable);
    if (differences.length > 0 && (tries < fewestTries || systemClock.now() < until)) {
      await systemClock.sleep(100, { signal });
      continue;
    }
    return {
      requests: answers.length,
      notChecked: hidden.filter((field) => expect[field] !== undefined),
      differences: [...differences, ...mesh.refusals.map((refusal) => `Envoy refused an update: ${refusal}`)],
      mismatches,
    };
  }
}
