import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { analyze } from '../../src/analyze/analyze.ts';
import type { Analyzer, SourceObject } from '../../src/analyze/analyzer.ts';
import { analyzers } from '../../src/analyze/index.ts';
import { createBuiltInRegistry } from '../../src/config/kinds/built-in-kinds.ts';
import type { ConfigObject } from '../../src/config/object.ts';
import { parseYamlDocuments } from '../../src/config/yaml-documents.ts';
import { createAdmitObject } from '../../src/control-plane/admit-object.ts';
import { knownDifferences } from './analyze/known-differences.ts';
import type { CaseOutcome } from './group.ts';

interface Recorded {
  readonly code: string;
  readonly severity: string;
  readonly resource: string;
}

interface RecordedCase {
  readonly name: string;
  readonly analyzer: string;
  readonly inputs: readonly string[];
  readonly inputsByCluster?: Readonly<Record<string, readonly string[]>>;
  readonly expected: readonly Recorded[];
  readonly expectedWithAllAnalyzers?: readonly Recorded[];
}

/** Each case twice: what the analyzer that it is about says, and what all say together; then the command line. */
export function runAnalyzeCases(folder: string): CaseOutcome[] {
  const cases = JSON.parse(readFileSync(join(folder, 'analyze/cases.json'), 'utf8')) as RecordedCase[];
  const admit = createAdmitObject(createBuiltInRegistry());
  const judge = (object: ConfigObject) => admit(object).issues;
  const run = (sources: readonly SourceObject[], chosen: readonly Analyzer[]) =>
    analyze(sources, { analyzers: chosen, judge, now: Date.now(), assumeInstallation: true });
  const outcomes = cases.flatMap((one) => {
    const sources = readSources(join(folder, 'analyze'), one);
    const chosen = analyzers.filter(({ name }) => name === one.analyzer);
    const alone: CaseOutcome =
      chosen.length === 0
        ? { name: one.name, outcome: 'skipped', why: `${one.analyzer} is not built` }
        : compare(one.name, one.expected, run(sources, chosen));
    if (!one.expectedWithAllAnalyzers) return [alone];
    // What our own analyzers say is not in any record.
    const byDefault = analyzers.filter(
      ({ byDefault: isDefault, name }) => isDefault !== false && !name.startsWith('ostria.'),
    );
    const title = `${one.name} (all analyzers)`;
    const together = compare(
      title,
      byResource(one.expectedWithAllAnalyzers),
      byResource(run(sources, byDefault)),
    );
    return [alone, together];
  });
  return [...outcomes, ...runCommandLines(join(folder, 'analyze'))];
}

interface RecordedCommand {
  readonly name: string;
  readonly args: readonly string[];
  readonly exitError: boolean;
}

function runCommandLines(folder: string): CaseOutcome[] {
  const commands = JSON.parse(readFileSync(join(folder, 'cli-cases.json'), 'utf8')) as RecordedCommand[];
  const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
  return commands.map(({ name, args, exitError }) => {
    const { status, stderr } = spawnSync(process.execPath, [main, ...args], {
      cwd: folder,
      encoding: 'utf8',
    });
    if ((status === 3) === exitError && (exitError || status === 0)) return { name, outcome: 'passed' };
    return { name, outcome: 'failed', why: `ended with ${status}: ${stderr}` };
  });
}

function readSources(folder: string, { inputs, inputsByCluster }: RecordedCase): SourceObject[] {
  const read = (file: string, cluster?: string): SourceObject[] =>
    parseYamlDocuments(readFileSync(join(folder, file)), file).objects.map((parsed) =>
      cluster === undefined ? parsed : { ...parsed, cluster },
    );
  if (!inputsByCluster) return inputs.flatMap((file) => read(file));
  return Object.entries(inputsByCluster).flatMap(([cluster, files]) =>
    files.flatMap((file) => read(file, cluster)),
  );
}

/** Schema errors are told one a field here and in bundles there: of those it counts whether an object has any. */
function byResource(messages: readonly Recorded[]): Recorded[] {
  const seen = new Set<string>();
  return messages.filter((message) => {
    if (message.code !== 'IST0106' && message.code !== 'IST0133') return true;
    const first = !seen.has(line(message));
    seen.add(line(message));
    return first;
  });
}

function compare(name: string, expected: readonly Recorded[], actual: readonly Recorded[]): CaseOutcome {
  const missing = without(expected, actual);
  const extra = without(actual, expected);
  const known = knownDifferences[name];
  if (missing.length + extra.length === 0)
    return known
      ? { name, outcome: 'failed', why: 'is no difference any more' }
      : { name, outcome: 'passed' };
  const why = [
    ...missing.map((text) => `missing ${text}`),
    ...extra.map((text) => `not recorded ${text}`),
  ].join('; ');
  if (known && known.differences.toSorted().join('; ') === why.split('; ').toSorted().join('; '))
    return { name, outcome: 'skipped', why: known.why };
  return { name, outcome: 'failed', why };
}

/** What of the first list, as a multiset, the second has not. */
function without(list: readonly Recorded[], other: readonly Recorded[]): string[] {
  const left = other.map(line);
  return list.map(line).filter((text) => {
    const at = left.indexOf(text);
    if (at < 0) return true;
    left.splice(at, 1);
    return false;
  });
}

function line({ code, severity, resource }: Recorded): string {
  return `${code} ${severity} ${resource}`;
}
