import { spawn } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { round } from '../xds-bench/process-usage.ts';

/** What a load generator saw. Latencies in milliseconds. */
export interface LoadFigures {
  readonly requests: number;
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
}

/** Load generators that run now, so that an interrupted benchmark can end them. */
const running = new Set<ReturnType<typeof spawn>>();

export function stopLoad(): void {
  for (const child of running) child.kill('SIGKILL');
}

function output(program: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    running.add(child);
    let text = '';
    const collect = (chunk: string) => {
      text += chunk;
    };
    child.stdout.setEncoding('utf8').on('data', collect);
    child.stderr.setEncoding('utf8').on('data', collect);
    child.once('error', reject);
    child.once('close', (code) => {
      running.delete(child);
      if (code === 0) resolve(text);
      else reject(new Error(`${program} ${args.join(' ')} ended with ${code}:\n${text}`));
    });
  });
}

const milliseconds: Readonly<Record<string, number>> = { us: 1e-3, ms: 1, s: 1e3, m: 6e4 };

/** As many requests as `connections` connections carry, each with one request at a time. */
export async function saturate(url: string, connections: number, seconds: number): Promise<LoadFigures> {
  const text = await output('wrk', [
    ...['-t', '1', '-c', String(connections), '-d', `${seconds}s`],
    ...['--latency', url],
  ]);
  const failed = /Non-2xx.*|Socket errors.*/.exec(text);
  if (failed) throw new Error(`not every request to ${url} was answered: ${failed[0]}\n${text}`);
  const [, requests = '0'] = /(\d+) requests in/.exec(text) ?? [];
  const percentile = (name: string): number => {
    const [, value = '0', unit = 'ms'] = new RegExp(`${name}%\\s+([\\d.]+)(us|ms|s|m)`).exec(text) ?? [];
    return Number(value) * (milliseconds[unit] ?? 1);
  };
  const perSecond = Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1] ?? 0);
  if (Number(requests) === 0) throw new Error(`no request to ${url} was answered:\n${text}`);
  return { requests: Number(requests), perSecond, p50: percentile('50'), p99: percentile('99') };
}

/** `perSecond` requests over eight connections: latency as callers see it on a machine that is not full. */
export async function paced(url: string, perSecond: number, seconds: number): Promise<LoadFigures> {
  const connections = 8;
  const file = join(tmpdir(), `ostria-h2load-${process.pid}.tsv`);
  try {
    const text = await output('h2load', [
      ...['--h1', '-t', '1', '-c', String(connections), '-D', `${Math.ceil(seconds)}`],
      ...[`--rps=${perSecond / connections}`, `--log-file=${file}`, url],
    ]);
    const rows = (await readFile(file, 'utf8')).trim().split('\n');
    const times = rows.map((row) => {
      const [, status, microseconds] = row.split('\t').map(Number);
      if (status !== 200) throw new Error(`${url} answered ${status}\n${text}`);
      return (microseconds ?? 0) / 1000;
    });
    times.sort((a, b) => a - b);
    const at = (share: number): number =>
      times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0;
    return {
      requests: times.length,
      perSecond: round(times.length / Math.ceil(seconds), 1),
      p50: at(0.5),
      p99: at(0.99),
    };
  } finally {
    await rm(file, { force: true });
  }
}
