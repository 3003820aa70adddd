import type { Command } from 'commander';
import { CodedError } from '../../../kit/coded-error.ts';
import type { ApiAccess } from '../../../kit/kubeconfig.ts';
import type { ApiClient } from '../../api/api-client.ts';
import { type ExitCode, exitCodes } from '../../exit-codes.ts';
import { parseDuration } from '../../mesh-file/duration.ts';
import { localMeshOf } from './local-mesh.ts';
import { failuresNow, type WaitVerdict, waitForChange } from './wait-for-change.ts';

export interface WaitFlags {
  readonly wait?: boolean;
  readonly timeout: string;
}

const defaultTimeout = '60s';

export function addWaitFlags(command: Command): Command {
  return command
    .option('-w, --wait', 'return when every proxy concerned has acknowledged and answers the new way')
    .option('--timeout <duration>', 'how long --wait waits, such as 90s', defaultTimeout);
}

/** Milliseconds. Throws `UsageInvalid`. */
export function durationOf(flag: string, text: string): number {
  const ms = parseDuration(text);
  if (ms !== undefined && ms > 0) return ms;
  throw new CodedError('UsageInvalid', `${flag} ${text} is no duration such as 30s or 2m`);
}

export const codeOfVerdict: Readonly<Record<WaitVerdict, ExitCode>> = {
  answered: exitCodes.ok,
  unchanged: exitCodes.ok,
  refused: exitCodes.rejected,
  late: exitCodes.timeout,
  interrupted: exitCodes.interrupted,
};

/** Waits for what a command wrote since the wait was prepared, if it wrote anything, and tells how it goes. */
export type WaitForWrites = (written: boolean) => Promise<ExitCode>;

/** To be called before anything is written: failures that are there already are not the command's. Undefined: nobody waits. */
export async function prepareWait(
  { client, access }: { readonly client: ApiClient; readonly access: ApiAccess },
  { wait, timeout }: WaitFlags,
  namespace: string,
): Promise<WaitForWrites | undefined> {
  const timeoutMs = durationOf('--timeout', timeout);
  if (!wait) return undefined;
  const oldFailures = await failuresNow(client);
  const before = await revisionNow(client);
  return async (written) => {
    // Answers to deletions name no revision. What others wrote in between is waited for too.
    const change = written ? { first: before + 1, last: await revisionNow(client) } : undefined;
    const interrupted = new AbortController();
    const interrupt = (): void => interrupted.abort();
    process.once('SIGINT', interrupt);
    try {
      const { verdict } = await waitForChange(
        client,
        { change, objects: [] },
        { timeoutMs, namespace, oldFailures, signal: interrupted.signal, mesh: localMeshOf(access) },
      );
      return codeOfVerdict[verdict];
    } finally {
      process.removeListener('SIGINT', interrupt);
    }
  };
}

/** The newest resourceVersion of the store. */
async function revisionNow(client: ApiClient): Promise<number> {
  const { metadata } = await client.get<{ metadata: { resourceVersion: string } }>(
    '/api/v1/namespaces?limit=1',
  );
  return Number(metadata.resourceVersion);
}
