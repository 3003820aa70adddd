import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { CodedError } from '../kit/coded-error.ts';
import { type ApiAccess, kubeconfigPaths, readKubeconfig } from '../kit/kubeconfig.ts';
import { ApiClient } from './api/api-client.ts';
import { chooseMesh, runningMeshes } from './meshes.ts';
import { stateDirectory, statePaths } from './state/state-directory.ts';

/** Flags of every command that talks to an API server; istioctl's names. */
export interface ConnectionFlags {
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly mesh?: string;
  readonly namespace?: string;
}

export function addConnectionFlags(command: Command): Command {
  return addAccessFlags(command, '-c, ').option('-n, --namespace <name>', 'namespace');
}

/** The same without a namespace; `short`: the short form of `--kubeconfig`, where nothing else has it. */
export function addAccessFlags(command: Command, short: '-c, ' | '' = ''): Command {
  return command
    .option(
      `${short}--kubeconfig <file>`,
      'kubeconfig of the API server (default: that of the running mesh, else $KUBECONFIG)',
    )
    .option('--context <name>', 'context of the kubeconfig')
    .option('--mesh <name>', 'mesh of this machine (default: the one that runs)');
}

/**
 * The API server that is meant: the file given, else the mesh named, else the mesh that runs here, else where kubectl would look.
 * Throws `MeshNotRunning` when there is none.
 */
export function chooseAccess(flags: ConnectionFlags): ApiAccess {
  if (flags.kubeconfig !== undefined) return readKubeconfig(flags.kubeconfig, flags.context);
  const wantsMesh = flags.mesh !== undefined || Boolean(process.env.OSTRIA_MESH);
  if (wantsMesh || (flags.context === undefined && runningMeshes().length > 0)) {
    const { kubeconfig } = statePaths(stateDirectory(chooseMesh(flags.mesh)));
    if (existsSync(kubeconfig)) return readKubeconfig(kubeconfig, flags.context);
    throw new CodedError(
      'MeshNotRunning',
      `${kubeconfig} does not exist yet; wait until ostria up says that the mesh is ready`,
    );
  }
  const path = kubeconfigPaths().find((candidate) => existsSync(candidate));
  if (path !== undefined) return readKubeconfig(path, flags.context);
  throw new CodedError(
    'MeshNotRunning',
    'no mesh is running here and there is no kubeconfig; start a mesh with ostria up, or name a file with --kubeconfig',
  );
}

export function connect(flags: ConnectionFlags): { client: ApiClient; access: ApiAccess; namespace: string } {
  const access = chooseAccess(flags);
  return { client: new ApiClient(access), access, namespace: flags.namespace ?? access.namespace };
}

/** Does some work with the API server that is meant, and closes the connection whatever becomes of it. */
export async function withClient<T>(
  flags: ConnectionFlags,
  work: (client: ApiClient) => Promise<T>,
): Promise<T> {
  const { client } = connect(flags);
  try {
    return await work(client);
  } finally {
    client.close();
  }
}
