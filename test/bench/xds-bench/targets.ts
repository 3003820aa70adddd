import { type ChildProcess, fork, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openAuthority } from '../../../src/ca/authority-files.ts';
import { issueWithNewKey } from '../../../src/ca/server-certificate.ts';
import { nodeCommand, programEnvironment } from '../../../src/cli/programs.ts';
import { freePort } from '../../support/ports.ts';
import type { LoadType } from './load-client.ts';
import type { ProbeAnswer } from './loop-probe.ts';
import { MeshApi } from './mesh-api.ts';
import { MeshFiles, type MeshShape } from './mesh-files.ts';
import type { ScriptedEdit } from './scripted-server.ts';

export type EditKind = 'virtualServiceEdit' | 'endpointMove' | 'newService' | 'meshSetting';

export interface EditPlan {
  /** Part of the names of the resources that every client will be sent. */
  readonly text: string;
  readonly types: readonly LoadType[];
  /** Makes the edit. A promise resolves when it is acknowledged: times then run from there. */
  readonly make: () => unknown;
}

export interface ClientIdentity {
  readonly key: string;
  readonly cert: string;
}

/** What is measured: a process that serves xDS, and the means to change its configuration. */
export interface BenchTarget {
  readonly pid: number;
  /** Client certificates by namespace, where the server asks for them. */
  readonly identities: Readonly<Record<string, ClientIdentity>>;
  readonly url: string;
  readonly hosts: readonly string[];
  /** Prepares an edit. */
  plan(kind: EditKind): EditPlan;
  /** What happened in the process since the last call: see loop-probe.ts. */
  probe(): Promise<ProbeAnswer>;
  stop(): Promise<void>;
}

const probeFlags = ['--import', join(import.meta.dirname, 'loop-probe.ts')];

const heard: Readonly<Record<EditKind, readonly LoadType[]>> = {
  virtualServiceEdit: ['virtualHost'],
  endpointMove: ['endpoints'],
  newService: ['cluster', 'endpoints', 'virtualHost'],
  meshSetting: ['cluster'],
};

/** The control plane as users start it, over a directory of YAML or over its own API. */
export async function startControlPlane(
  root: string,
  shape: MeshShape,
  options: { readonly tls: boolean; readonly api: boolean; readonly program: string | undefined },
): Promise<BenchTarget> {
  const directory = mkdtempSync(join(tmpdir(), 'ostria-bench-xds-'));
  const files = new MeshFiles(join(directory, 'config'), shape);
  if (!options.api) files.writeAll();
  const port = await freePort();
  const [node = '', ...nodeFlags] = nodeCommand('control-plane');
  const child = spawn(
    node,
    [
      ...nodeFlags,
      ...probeFlags,
      options.program ?? controlPlaneProgram(root),
      ...(options.api
        ? ['--api', '127.0.0.1:0', '--kubeconfig', join(directory, 'kubeconfig')]
        : ['--config', files.directory]),
      ...(options.tls || options.api ? ['--state', join(directory, 'state')] : []),
      ...(options.tls ? ['--xds', `127.0.0.1:${port}`] : ['--insecure-xds', `127.0.0.1:${port}`]),
    ],
    {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: {
        ...process.env,
        ...programEnvironment('control-plane'),
        OSTRIA_HOME: join(directory, 'home'),
        XDG_STATE_HOME: join(directory, 'state'),
      },
    },
  );
  const log = collectLog(child);
  const url = `${options.tls ? 'https' : 'http'}://127.0.0.1:${port}`;
  await waitListening(url, child, log);
  const api = options.api ? await fillByApi(join(directory, 'kubeconfig'), files) : undefined;
  const identities = options.tls ? await issueIdentities(join(directory, 'state', 'ca'), shape) : {};
  return {
    pid: child.pid ?? 0,
    identities,
    url,
    hosts: files.hosts(),
    plan(kind) {
      const edit = files[kind]();
      const make = async (): Promise<void> => {
        for (const document of edit.documents) await api?.apply(document);
      };
      return { text: edit.text, types: heard[kind], make: api ? make : edit.make };
    },
    probe: () => probe(child),
    async stop() {
      api?.close();
      await end(child);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

async function fillByApi(kubeconfig: string, files: MeshFiles): Promise<MeshApi> {
  for (let i = 0; !existsSync(kubeconfig); i++) {
    if (i === 600) throw new Error('the control plane wrote no kubeconfig within half a minute');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const api = new MeshApi(kubeconfig);
  await api.applyAll(files.namespaces());
  await api.applyAll(files.documents());
  return api;
}

/** The bundle that users run, or the sources of a checkout that is not built. */
function controlPlaneProgram(root: string): string {
  const bundle = join(root, 'dist', 'control-plane.js');
  return existsSync(bundle) ? bundle : join(root, 'src', 'control-plane', 'main.ts');
}

/** The delivery alone, without a compile: see scripted-server.ts. */
export async function startScripted(shape: MeshShape): Promise<BenchTarget> {
  const child = fork(
    join(import.meta.dirname, 'scripted-server.ts'),
    [String(shape.services), String(shape.endpoints)],
    {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      execArgv: probeFlags,
    },
  );
  const { port } = await new Promise<{ port: number }>((resolve) =>
    child.once('message', (message) => resolve(message as { port: number })),
  );
  const host = (i: number): string => `svc-${i}.ns-0.svc.cluster.local`;
  let edits = 0;
  const scripted: Readonly<Record<EditKind, readonly [ScriptedEdit, () => string]>> = {
    virtualServiceEdit: ['virtual-service', () => host(7)],
    endpointMove: ['endpoints', () => host(8)],
    newService: ['service', () => host(shape.services + edits)],
    meshSetting: ['everything', () => host(1)],
  };
  return {
    pid: child.pid ?? 0,
    identities: {},
    url: `http://127.0.0.1:${port}`,
    hosts: Array.from({ length: shape.services }, (_, i) => host(i)),
    plan(kind) {
      edits++;
      const [command, text] = scripted[kind];
      const types: readonly LoadType[] = kind === 'meshSetting' ? ['virtualHost'] : heard[kind];
      return { text: text(), types, make: () => child.send(command) };
    },
    probe: () => probe(child),
    stop: () => end(child),
  };
}

function probe(child: ChildProcess): Promise<ProbeAnswer> {
  const answer = new Promise<ProbeAnswer>((resolve) =>
    child.once('message', (message) => resolve(message as ProbeAnswer)),
  );
  child.send('probe');
  return answer;
}

/** Certificates of the mesh's own authority, one for the default service account of each namespace. */
async function issueIdentities(
  directory: string,
  shape: MeshShape,
): Promise<Readonly<Record<string, ClientIdentity>>> {
  const authority = await openAuthority(directory, { create: false });
  const identities: Record<string, ClientIdentity> = {};
  for (let i = 0; i < shape.namespaces; i++) {
    const uris = [`spiffe://cluster.local/ns/ns-${i}/sa/default`];
    const issued = await issueWithNewKey(authority, { uris, usages: ['client'] });
    identities[`ns-${i}`] = { key: issued.key, cert: issued.certificateChain };
  }
  return identities;
}

function collectLog(child: ChildProcess): () => string {
  let log = '';
  const keep = (chunk: Buffer): void => {
    log = (log + chunk.toString()).slice(-20_000);
  };
  child.stdout?.on('data', keep);
  child.stderr?.on('data', keep);
  return () => log;
}

async function waitListening(url: string, child: ChildProcess, log: () => string): Promise<void> {
  for (let i = 0; i < 1_200; i++) {
    if (child.exitCode !== null)
      throw new Error(`the control plane ended with ${child.exitCode}:\n${log().slice(-4_000)}`);
    if (await answers(url)) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`the control plane did not listen within a minute:\n${log().slice(-4_000)}`);
}

function answers(url: string): Promise<boolean> {
  return new Promise((resolve) => {
    const session = connect(url, { rejectUnauthorized: false });
    session.once('connect', () => {
      session.destroy();
      resolve(true);
    });
    session.once('error', () => resolve(false));
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 5_000);
  await gone;
  clearTimeout(timer);
}
