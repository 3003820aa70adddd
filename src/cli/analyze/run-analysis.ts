import { type AnalyzeOptions, analyze } from '../../analyze/analyze.ts';
import type { SourceObject } from '../../analyze/analyzer.ts';
import { analyzers } from '../../analyze/index.ts';
import type { Message } from '../../analyze/message.ts';
import { createBuiltInRegistry } from '../../config/kinds/built-in-kinds.ts';
import { createAdmitObject } from '../../control-plane/admit-object.ts';
import { CodedError } from '../../kit/coded-error.ts';

export const analyzerNames: readonly string[] = analyzers.map(({ name }) => name);

/** Every kind that some analyzer reads, as `Kind.group`. */
export const analyzedKinds: ReadonlySet<string> = new Set(analyzers.flatMap(({ inputs }) => inputs));

/** Runs the analyzers named, or those that run by default, with the rules that the server judges objects by. */
export function runAnalysis(
  sources: readonly SourceObject[],
  names: readonly string[],
  options: Pick<AnalyzeOptions, 'suppressions' | 'assumeInstallation' | 'workloadsKnown'>,
): Message[] {
  const unknown = names.find((name) => !analyzerNames.includes(name));
  if (unknown !== undefined)
    throw new CodedError('UsageInvalid', `there is no analyzer ${unknown}; --list-analyzers shows them`);
  const admit = createAdmitObject(createBuiltInRegistry());
  const chosen = analyzers.filter(({ name, byDefault }) =>
    names.length > 0 ? names.includes(name) : byDefault !== false,
  );
  return analyze(sources, {
    ...options,
    analyzers: chosen,
    judge: (object) => admit(object).issues,
    now: Date.now(),
  });
}
