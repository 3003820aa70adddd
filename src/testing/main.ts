import { AssertionError } from 'node:assert';
import { check } from '../assertions/check.ts';
import type { Expectation } from '../assertions/expectation.ts';
import { sourceWords } from '../cli/explain/format-explanation.ts';
import { modelOf, sourceOfFiles } from '../cli/explain/model-source.ts';
import { explain } from '../explain/explain.ts';
import type { Explanation } from '../explain/explanation.ts';
import { CodedError } from '../kit/coded-error.ts';
import { verifySignature } from '../kit/verify-signature.ts';
import type { Model } from '../model/model.ts';
import { parseClaim } from '../prove/claim.ts';
import { type Proof, prove } from '../prove/prove.ts';

export type { Expectation, Place } from '../assertions/expectation.ts';
export type { Explanation } from '../explain/explanation.ts';
export type { Proof } from '../prove/prove.ts';

/** A request, and who sends it. */
export interface TestCall {
  /** A workload, an IP address of one, `ingress`, or a gateway's name. */
  readonly from: string;
  /** METHOD and URL, or the URL alone (GET). */
  readonly request: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Of the token that it carries, as one that passes verification holds them. */
  readonly claims?: Readonly<Record<string, unknown>>;
  /** Identity that the caller proves instead of its own: `namespace/serviceAccount`. */
  readonly as?: string;
}

/** A mesh that assertions are made of. */
export interface TestMesh {
  readonly model: Model;
  /** What becomes of a request. Throws a `CodedError` for one that cannot be asked about. */
  explain(call: TestCall): Explanation;
  /** Whether nothing of some callers reaches a service: `from !namespace/pay to ledger.pay POST /transfer`. */
  prove(claim: string): Proof;
}

/** Reads files and directories (with what is below them) of configuration, mesh.yaml too. Rejects with every problem that they have. */
export async function mesh(...paths: readonly string[]): Promise<TestMesh> {
  const model = modelOf(await sourceOfFiles(paths, { recursive: true }));
  return {
    model,
    explain(call) {
      const answer = explain(model, questionOf(call), options());
      if (!answer.ok) throw new CodedError(answer.error.code, answer.error.message);
      return answer.explanation;
    },
    prove(text) {
      const parsed = parseClaim(text);
      if (!parsed.ok) throw new CodedError('UsageInvalid', parsed.error);
      const result = prove(model, parsed.value);
      if (!result.ok) throw new CodedError(result.error.code, result.error.message);
      return result.proof;
    },
  };
}

/** Throws an `AssertionError` (of `node:assert`, as any runner understands it) unless everything that is expected holds. */
export function expectCall({ model }: TestMesh, call: TestCall, expected: Expectation): void {
  const { mismatches, summary, decided } = check(model, questionOf(call), expected, options());
  if (mismatches.length === 0) return;
  throw new AssertionError({
    message: [
      ...mismatches.map((one) => `${one.field}: expected ${one.expected}, but it is ${one.actual}`),
      summary,
      ...decided.map(({ what, by }) => `  ${sourceWords(by)}  ${what}`),
    ].join('\n'),
    actual: Object.fromEntries(mismatches.map(({ field, actual }) => [field, actual])),
    expected: Object.fromEntries(mismatches.map(({ field, expected: wanted }) => [field, wanted])),
    stackStartFn: expectCall,
  });
}

/** Throws an `AssertionError` unless it is proved that nothing of the callers reaches the service. */
export function expectUnreachable(tested: TestMesh, claim: string): void {
  const { status, counterExample, unknown } = tested.prove(claim);
  if (status === 'proved') return;
  const { method, url, from } = counterExample ?? {};
  throw new AssertionError({
    message: counterExample
      ? `expected nothing ${claim}, but ${method} ${url} from ${from ?? 'anyone, in plaintext,'} gets through`
      : `it is not known whether nothing ${claim}: ${unknown.join('; ')}`,
    actual: status,
    expected: 'proved',
    stackStartFn: expectUnreachable,
  });
}

function questionOf({ from, request, headers, claims, as }: TestCall) {
  const match = /^(?:([A-Z-]+)\s+)?(\S+)$/.exec(request.trim());
  if (!match)
    throw new CodedError('UsageInvalid', `${request} is no request; write METHOD and URL, or the URL alone`);
  return {
    from,
    url: match[2] ?? '',
    ...(match[1] === undefined ? {} : { method: match[1] }),
    ...(headers ? { headers } : {}),
    ...(claims ? { claims } : {}),
    ...(as === undefined ? {} : { as }),
  };
}

function options() {
  return { now: Date.now(), verify: verifySignature };
}
