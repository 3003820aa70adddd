import type { Colors } from 'picocolors/types.js';
import type { DecidedBy } from '../../explain/explanation.ts';
import type { CounterExample, Proof } from '../../prove/prove.ts';
import { sourceWords } from '../explain/format-explanation.ts';
import { requestWords, sentence } from '../plan/format-classes.ts';

/** Proofs as people read them: the answer first, then what makes it so. */
export function formatProofs(proofs: readonly Proof[], colors: Colors): string {
  const assumptions = new Set(proofs.flatMap((proof) => proof.assumptions));
  const parts = proofs.map((proof) => proofLines(proof, colors).join('\n'));
  const assumed = [...assumptions].map((text) => colors.dim(`Assumed: ${text}.`));
  return `${[...parts, ...(assumed.length > 0 ? [assumed.join('\n')] : [])].join('\n\n')}\n`;
}

function proofLines(proof: Proof, { bold, green, red, yellow, dim }: Colors): string[] {
  const { claim, status, counterExample, because, examined, callers, servers, unknown } = proof;
  const looked = dim(
    `(${examined} kinds of requests from ${callers} ${callers === 1 ? 'caller' : 'callers'} at ${servers} ${servers === 1 ? 'port' : 'ports'})`,
  );
  const head = { proved: green('✔ proved'), refuted: red('✘ refuted'), unknown: yellow('? not known') }[
    status
  ];
  const lines = [`${bold(head)}  nothing ${claim.text}  ${looked}`];
  if (counterExample) lines.push(...counterLines(counterExample, { bold, dim }));
  if (status === 'proved' && because.length > 0)
    lines.push(`  ${dim('refused by')}`, ...because.map((by) => `    ${objectWords(by)}`));
  if (status === 'unknown') lines.push(...unknown.map((text) => `  ${text}`));
  return lines;
}

function counterLines(
  { from, outside, outcome, decidedBy, ...request }: CounterExample,
  { bold, dim }: Pick<Colors, 'bold' | 'dim'>,
): string[] {
  const who =
    from === undefined ? 'anyone without a sidecar, in plaintext' : outside ? `outside, by ${from}` : from;
  return [
    `  ${bold(requestWords(request))}`,
    `    ${dim(`from ${who}`)}`,
    `    ${sentence(outcome)}`,
    ...decidedBy.map((by) => `    ${dim(objectWords(by))}`),
  ];
}

function objectWords(by: DecidedBy): string {
  const { kind, namespace, name, position, path } = by;
  const object = `${kind} ${namespace === '' ? '' : `${namespace}/`}${name}`;
  return position ? `${object}  ${sourceWords(by)}` : `${object}${path === '' ? '' : ` ${path}`}`;
}
