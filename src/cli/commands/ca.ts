import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { RingStatus } from '../../ca/ring-status.ts';
import { CodedError } from '../../kit/coded-error.ts';
import type { ApiClient } from '../api/api-client.ts';
import { addConnectionFlags, type ConnectionFlags, withClient } from '../connection.ts';
import { formatStructured, parseOutput } from '../output/structured.ts';
import { textTable } from '../output/text-table.ts';

interface CaFlags extends ConnectionFlags {
  readonly output?: string;
  readonly hurry?: boolean;
  readonly wait?: boolean;
  readonly timeout?: string;
}

const rotatePath = '/debug/ca/rotate';
const dayMs = 86_400_000;
/** Fewer days left than this are marked. */
const soonDays = 30;
/** Workloads' certificates last a day and are renewed at half of it. */
const workloadSoonDays = 0.25;

export function registerCa(program: Command): void {
  const ca = program
    .command('ca')
    .summary('show and rotate the certificate authority')
    .description(
      'The authority that gives workloads their certificates: how long its chains last, and moving to a new root.',
    )
    .addHelpText('after', '\nExamples:\n  ostria ca status\n  ostria ca rotate --wait');
  registerStatus(ca);
  registerRotate(ca);
  registerBundle(ca);
}

function registerBundle(ca: Command): void {
  const command = ca
    .command('bundle')
    .summary('the roots that others need to trust this mesh')
    .description(
      'Prints the roots of this mesh for another one that is to trust its workloads: PEM, or the document that a SPIFFE bundle endpoint serves. Over there they go into caCertificates of the mesh settings, with the trust domain of this mesh.',
    )
    .option('-o, --output <format>', 'pem or spiffe', 'pem');
  addConnectionFlags(command)
    .addHelpText(
      'after',
      '\nExamples:\n  ostria ca bundle > our-roots.pem\n  ostria ca bundle -o spiffe > bundle.json',
    )
    .action(async (flags: CaFlags) => {
      if (flags.output !== 'pem' && flags.output !== 'spiffe')
        throw new CodedError('UsageInvalid', `--output ${flags.output}: must be pem or spiffe`);
      await withClient(flags, async (client) => {
        const { pem, spiffe } = await client.get<{ pem: string; spiffe: unknown }>('/debug/ca/bundle');
        process.stdout.write(flags.output === 'pem' ? pem : formatStructured(spiffe, 'json'));
      });
    });
}

function registerStatus(ca: Command): void {
  const command = ca
    .command('status')
    .summary('days left of every chain, and the rotation that goes on')
    .description(
      'Shows the roots and intermediates by which the mesh signs and trusts, with the days that each has left, who signs, and how far a rotation is.',
    )
    .option('-o, --output <format>', 'json or yaml');
  addConnectionFlags(command)
    .addHelpText('after', '\nExamples:\n  ostria ca status\n  ostria ca status -o json')
    .action(async (flags: CaFlags) => {
      const output = parseOutput(flags.output, ['json', 'yaml']);
      await withClient(flags, async (client) => {
        const status = await client.get<RingStatus>('/debug/ca');
        process.stdout.write(output ? formatStructured(status, output) : caStatusText(status, Date.now()));
      });
    });
}

function registerRotate(ca: Command): void {
  const command = ca
    .command('rotate')
    .summary('move to a new root, without a restart and without a refused connection')
    .description(
      'Makes a new self-signed root. First everybody learns to trust it beside the old one, then everybody renews, then the old one goes. Where the authority is your own (--ca), replace its files instead: the mesh moves to them the same way.',
    )
    .option('--wait', 'come back when it is done')
    .option('--timeout <seconds>', 'with --wait: how long at most', '900')
    .option(
      '--hurry',
      'go on without the workloads that are waited for (see ostria ca status); they must be started again',
    );
  addConnectionFlags(command)
    .addHelpText('after', '\nExamples:\n  ostria ca rotate --wait\n  ostria ca status')
    .action(async (flags: CaFlags) => {
      await withClient(flags, async (client) => {
        const { json } = await client.request({
          method: 'POST',
          path: `${rotatePath}${flags.hurry ? '?hurry=true' : ''}`,
        });
        process.stdout.write(rotationText(json as RingStatus));
        if (flags.wait) await untilDone(client, Number(flags.timeout ?? 900));
      });
    });
}

async function untilDone(client: ApiClient, seconds: number): Promise<void> {
  const until = Date.now() + seconds * 1000;
  for (let told = ''; Date.now() < until; ) {
    await sleep(1_000);
    const status = await client.get<RingStatus>('/debug/ca');
    const text = rotationText(status);
    if (text !== told) process.stdout.write(text);
    told = text;
    if (!status.rotation) return;
  }
  throw new CodedError(
    'Timeout',
    `the rotation is not done after ${seconds} seconds; it goes on: see ostria ca status`,
  );
}

export function caStatusText(status: RingStatus, now: number): string {
  const rows = status.chains.map(({ what, subject, notAfter }) => [
    what.toUpperCase(),
    subject,
    ...endOf(notAfter, now, soonDays),
  ]);
  if (status.earliestEnd)
    rows.push([
      `WORKLOADS (${status.certificates})`,
      'the first to end',
      ...endOf(status.earliestEnd, now, workloadSoonDays),
    ]);
  const table = textTable(['CERTIFICATE', 'SUBJECT', 'ENDS', 'DAYS LEFT'], rows);
  return `${authorityText(status)}\n${table}${trustText(status)}${status.rotation ? `\n${rotationText(status)}` : ''}`;
}

function trustText({ revocation, trustDomains = [] }: RingStatus): string {
  const lines: string[] = [];
  if (revocation) {
    const { revoked, nextUpdate, heldBack } = revocation;
    const count = revoked === 1 ? '1 certificate is' : `${revoked} certificates are`;
    lines.push(`${count} revoked; the list is good until ${seconds(nextUpdate)}.`);
    if (heldBack !== undefined) lines.push(`Workloads do not get the list yet: ${heldBack}.`);
  }
  if (trustDomains.length > 0)
    lines.push(`Trust domains with roots of their own: ${trustDomains.join(', ')}.`);
  return lines.length > 0 ? `\n${lines.join('\n')}\n` : '';
}

function authorityText({ kind, external }: RingStatus): string {
  if (!external) return `The authority is ${kind}.\n`;
  const { name, issued, lastIssued, problem, problemSince } = external;
  const last = lastIssued === undefined ? '' : `, the last at ${seconds(lastIssued)}`;
  const trouble =
    problem === undefined
      ? ''
      : `It gives none since ${seconds(problemSince ?? new Date(0))}: ${problem}\nWorkloads keep what they have and try again.\n`;
  return `Certificates are signed by ${name}.\nCertificates since the control plane started: ${issued}${last}.\n${trouble}`;
}

function seconds(time: Date | string): string {
  return new Date(time).toISOString().slice(0, 19);
}

function endOf(end: Date | string, now: number, soon: number): string[] {
  const days = (new Date(end).getTime() - now) / dayMs;
  const text = days < 10 ? days.toFixed(1) : String(Math.floor(days));
  return [seconds(end), days < 0 ? `${text} (ended)` : days < soon ? `${text} (soon)` : text];
}

function rotationText({ rotation }: RingStatus): string {
  if (!rotation) return 'No rotation goes on: everybody trusts one root.\n';
  const doing =
    rotation.phase === 'trust'
      ? 'Rotation, step 1 of 2: everybody learns to trust the new root.'
      : 'Rotation, step 2 of 2: everybody gets a certificate of the new root.';
  const names = rotation.waitingFor.map(({ identity, instance }) => instance || identity);
  return `${doing}\n${names.length > 0 ? `Waiting for ${names.slice(0, 10).join(', ')}${names.length > 10 ? ` and ${names.length - 10} more` : ''}.\n` : ''}`;
}
