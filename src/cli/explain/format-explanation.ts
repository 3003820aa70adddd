import type { Colors } from 'picocolors/types.js';
import type { DecidedBy, Decision, Explanation, Outcome } from '../../explain/explanation.ts';
import type { LiveCheck } from './live.ts';

const labels: Partial<Record<Decision['stage'], string>> = {
  'filter-chain': 'chain',
  'virtual-host': 'host',
  'external-authorization': 'authorization',
  'direct-response': 'answer',
  mtls: 'encryption',
};

const roles = {
  caller: 'the client, without a sidecar',
  client: 'the sidecar of the client',
  gateway: 'the gateway',
  server: 'the sidecar of the server',
} as const;

const labelWidth = 16;

/** An explanation as people read it: each proxy with its decisions, what was passed over below each, and the verdict at the end. */
export function formatExplanation(explanation: Explanation, colors: Colors): string {
  const { decisions, verdict, assumptions, question } = explanation;
  const { bold, dim } = colors;
  const head = [question.method, question.url].filter((word) => word !== undefined).join(' ');
  const lines = [`${bold(head)}  ${dim(`from ${question.from}`)}`];
  let place = '';
  for (const decision of decisions) {
    const here = `${decision.at.workload} ${decision.at.role}`;
    if (here !== place) lines.push('', `${bold(decision.at.workload)}  ${dim(roles[decision.at.role])}`);
    place = here;
    lines.push(...decisionLines(decision, colors));
  }
  lines.push('', ...verdictLines(explanation, colors));
  if (verdict.destinations.length > 1) lines.push(...destinationLines(explanation, colors));
  if (assumptions.length > 0) lines.push('', ...assumptions.map((text) => dim(`Assumed: ${text}.`)));
  return `${lines.join('\n')}\n`;
}

function decisionLines({ stage, what, by, lost }: Decision, { cyan, dim, yellow }: Colors): string[] {
  const label = (labels[stage] ?? stage).padEnd(labelWidth);
  const words = by ? sourceWords(by) : '';
  const source = words === '' ? '' : `  ${dim(words)}`;
  const indent = ' '.repeat(labelWidth + 2);
  return [
    `  ${cyan(label)}${what}${source}`,
    ...lost.map((one) => {
      const where = one.by?.position ? `  ${dim(sourceWords(one.by))}` : '';
      return `${indent}${yellow('×')} ${one.what}: ${dim(one.why)}${where}`;
    }),
  ];
}

/** `reviews.yaml:12:7`, or the object and field where it came from no file. */
export function sourceWords({ kind, namespace, name, path, position }: DecidedBy): string {
  if (position) return `${position.file}:${position.line}:${position.column}`;
  if (kind === 'MeshConfig') return path === '' ? '' : `MeshConfig ${path}`;
  return `${kind} ${namespace === '' ? '' : `${namespace}/`}${name}${path === '' ? '' : ` ${path}`}`;
}

const signs: Readonly<Record<Outcome, string>> = {
  delivered: '✔',
  answered: '✔',
  unknown: '?',
  denied: '✘',
  fails: '✘',
};

function verdictLines({ verdict }: Explanation, colors: Colors): string[] {
  const { bold, green, red, yellow, dim } = colors;
  const good = verdict.outcome === 'delivered' || verdict.outcome === 'answered';
  const isUnknown = verdict.outcome === 'unknown';
  const paint = good ? green : isUnknown ? yellow : red;
  const indent = '  ';
  const lines = [paint(bold(`${signs[verdict.outcome]} ${verdict.summary}`))];
  if (verdict.by && !good) {
    const { words } = verdict.by;
    lines.push(`${indent}Decided by ${objectWords(verdict.by)}${words ? `: ${words}` : ''}`);
  }
  if (isUnknown)
    lines.push(
      `${indent}${dim('To know:')} declare the host and port (a Service, or a ServiceEntry), or send the request through a running mesh with --live`,
    );
  for (const { code, meaning, mend } of verdict.flags) {
    lines.push(`${indent}${bold(code)}  ${meaning}`);
    if (mend) lines.push(`${indent}${dim('Mend:')} ${mend}`);
  }
  return lines;
}

function objectWords(by: DecidedBy): string {
  const { kind, namespace, name, path, position } = by;
  const object = `${kind} ${namespace === '' ? '' : `${namespace}/`}${name}${path === '' ? '' : ` ${path}`}`;
  return position ? `${object} (${sourceWords(by)})` : object;
}

function destinationLines({ verdict }: Explanation, { dim }: Colors): string[] {
  return [
    '',
    dim('Destinations'),
    ...verdict.destinations.map(({ percent, workload, address, status, cluster }) => {
      const share = `${percent} %`.padStart(8);
      const where = [workload ?? cluster, address].filter((word) => word !== undefined).join('  ');
      return `${share}  ${where}${status === undefined ? '' : `  ${status}`}`;
    }),
  ];
}

/** What came of sending the request, beside what was predicted. */
export function formatLive(live: LiveCheck, colors: Colors): string {
  const { sentTo, through, reply, comparisons } = live;
  const { bold, dim, green, red } = colors;
  const answer =
    reply.status === undefined ? (reply.error ?? 'the connection stays') : `answered ${reply.status}`;
  const way = through === undefined ? '' : `by ${through}, `;
  const lines = ['', `${bold('Sent')}  ${dim(`${way}to ${sentTo}:`)} ${answer}`];
  for (const { what, predicted, real, agrees: same } of comparisons) {
    const both =
      same && predicted === real ? real : `${dim('predicted')} ${predicted}${dim(', was')} ${real}`;
    lines.push(`  ${same ? green('✔') : red('✘')} ${what.padEnd(labelWidth - 4)}  ${both}`);
  }
  lines.push(liveEnd(live, colors));
  return `${lines.join('\n')}\n`;
}

function liveEnd({ agrees, answered, settles }: LiveCheck, { green, red }: Colors): string {
  if (!agrees) return red('Prediction and reality differ: one of the two is wrong, please report it.');
  if (!settles) return green('Prediction and reality agree.');
  return answered
    ? green('Now it is known: it is answered.')
    : red('Now it is known: nothing answers there.');
}
