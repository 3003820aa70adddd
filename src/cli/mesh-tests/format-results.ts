import type { Colors } from 'picocolors/types.js';
import type { TestResult, TestRun } from './run-tests.ts';

export function formatResults({ results, envoy }: TestRun, colors: Colors): string {
  const { bold, green, red, dim } = colors;
  const lines: string[] = [];
  for (const [file, cases] of Map.groupBy(results, (one) => one.file)) {
    lines.push(bold(file));
    for (const one of cases)
      lines.push(
        ...(one.ok ? [`  ${green('✔')} ${one.name}`] : failureLines(one, colors)),
        ...envoyLines(one).map((line) => `      ${colors.yellow(line)}`),
      );
    lines.push('');
  }
  const failed = results.filter(({ ok }) => !ok).length;
  const passed = results.length - failed;
  const ms = results.reduce((sum, one) => sum + one.ms, 0);
  lines.push(
    `${failed > 0 ? red(bold(`${failed} failed`)) : green(bold('all passed'))}, ${passed} of ${results.length} as expected ${dim(`(${Math.round(ms)} ms)`)}`,
  );
  if (envoy) lines.push(dim(runWords(results, envoy)));
  return `${lines.join('\n')}\n`;
}

function runWords(
  results: readonly TestResult[],
  { version, proxies }: NonNullable<TestRun['envoy']>,
): string {
  const sent = results.filter((one) => one.envoy?.requests !== undefined).length;
  const requests = results.reduce((sum, one) => sum + (one.envoy?.requests ?? 0), 0);
  const alone = results.length - sent;
  const through =
    sent === 0
      ? 'nothing was sent through Envoy'
      : `${sent} through ${proxies} of Envoy ${version} (${requests} requests)`;
  return alone === 0 ? through : `${through}, ${alone} on files alone`;
}

/** What a real Envoy said of a case beyond its verdict. */
function envoyLines({ envoy }: TestResult): string[] {
  if (!envoy) return [];
  const { skipped, notChecked = [], differences = [] } = envoy;
  return [
    ...(skipped === undefined ? [] : [`skipped on Envoy: ${skipped}`]),
    ...(notChecked.length > 0 ? [`on files alone: ${notChecked.join(', ')}`] : []),
    ...differences.map((difference) => `prediction and Envoy differ: ${difference}`),
  ];
}

function failureLines(
  { name, file, line, mismatches, summary, decided }: TestResult,
  { red, dim }: Colors,
): string[] {
  const width = Math.max(...mismatches.map(({ field }) => field.length));
  return [
    `  ${red('✘')} ${name}  ${dim(`${file}:${line}`)}`,
    ...mismatches.flatMap(({ field, expected, actual }) => [
      `      ${field.padEnd(width)}  expected ${expected}`,
      `      ${''.padEnd(width)}  but it is ${red(actual)}`,
    ]),
    `      ${summary}`,
    ...decided.map(({ what, place }) => `        ${dim(`${place}  ${what}`)}`),
  ];
}

/** The format that CI systems read. */
export function formatJunit(results: readonly TestResult[]): string {
  const suites = [...Map.groupBy(results, (one) => one.file)].map(([file, cases]) => {
    const failures = cases.filter(({ ok }) => !ok).length;
    const body = cases.map((one) => {
      const open = `    <testcase name="${escaped(one.name)}" classname="${escaped(file)}" file="${escaped(file)}" line="${one.line}" time="${seconds(one.ms)}"`;
      const said = envoyLines(one);
      const output = said.length > 0 ? `\n      <system-out>${escaped(said.join('\n'))}</system-out>` : '';
      if (one.ok) return output === '' ? `${open}/>` : `${open}>${output}\n    </testcase>`;
      const [first] = one.mismatches;
      const text = [
        ...one.mismatches.map(
          ({ field, expected, actual }) => `${field}: expected ${expected}, but it is ${actual}`,
        ),
        one.summary,
        ...one.decided.map(({ what, place }) => `${place}  ${what}`),
      ].join('\n');
      return `${open}>\n      <failure message="${escaped(`${first?.field}: expected ${first?.expected}, but it is ${first?.actual}`)}">${escaped(text)}</failure>${output}\n    </testcase>`;
    });
    const time = seconds(cases.reduce((sum, { ms }) => sum + ms, 0));
    return `  <testsuite name="${escaped(file)}" tests="${cases.length}" failures="${failures}" errors="0" skipped="0" time="${time}">\n${body.join('\n')}\n  </testsuite>`;
  });
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n${suites.join('\n')}\n</testsuites>\n`;
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(3);
}

const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

function escaped(text: string): string {
  // XML 1.0 has no place for control characters, such as colours in messages.
  const allowed = [...text].filter((char) => char >= ' ' || char === '\n' || char === '\t').join('');
  return allowed.replace(/[&<>"]/g, (sign) => entities[sign] ?? '');
}
