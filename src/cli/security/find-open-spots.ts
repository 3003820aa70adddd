import { kindKey, type SourceObject } from '../../analyze/analyzer.ts';
import { checkedKinds, checkSecurity } from '../../analyze/security/check-security.ts';
import type { Finding, SecurityFacts } from '../../analyze/security/finding.ts';
import { originId } from '../../config/origin.ts';
import { CodedError } from '../../kit/coded-error.ts';
import { defaultMeshConfig, type MeshConfig } from '../../registry/mesh-config.ts';
import { readMesh } from '../analyze/read-mesh.ts';
import { readSources } from '../analyze/read-sources.ts';
import type { ApiClient } from '../api/api-client.ts';
import { localMeshOf } from '../apply/wait/local-mesh.ts';
import { type ConnectionFlags, connect } from '../connection.ts';
import { readMeshFile } from '../mesh-file/parse-mesh-file.ts';
import { createLocator } from '../origins/locate.ts';
import type { StatePaths } from '../state/state-directory.ts';
import { readSupervisorConfig } from '../supervisor/supervisor-config.ts';

/** What files or the running mesh leave open. Throws `ObjectInvalid` for files that cannot be read. */
export async function findOpenSpots(
  files: readonly string[],
  flags: ConnectionFlags & { readonly recursive?: boolean },
): Promise<Finding[]> {
  return files.length > 0 ? ofFiles(files, flags) : ofMesh(flags);
}

function ofFiles(
  files: readonly string[],
  flags: { readonly recursive?: boolean; readonly namespace?: string },
): Finding[] {
  const { sources, broken, meshFiles } = readSources(files, flags);
  if (broken.length > 0) throw new CodedError('ObjectInvalid', broken.join('\n'));
  return checkSecurity(sources.filter(isChecked), factsOf(defaultMeshConfig, meshFiles));
}

function isChecked({ object }: SourceObject): boolean {
  return checkedKinds.has(kindKey(object));
}

/** A mesh file's mesh is STRICT by default, and its workloads are processes. */
function factsOf(mesh: MeshConfig, meshFiles: readonly string[]): SecurityFacts {
  const standalone = meshFiles.length > 0;
  return {
    rootNamespace: mesh.rootNamespace,
    defaultMtlsMode: standalone ? 'STRICT' : mesh.defaultMtlsMode,
    outboundTrafficPolicy: mesh.outboundTrafficPolicy,
    standalone,
    allowFetch: meshFiles.flatMap(allowFetchOf),
    certificates: [],
    listeners: {},
    now: Date.now(),
  };
}

function allowFetchOf(file: string): readonly string[] {
  const result = readMeshFile(file);
  return result.ok ? result.mesh.allowFetch : [];
}

async function ofMesh(flags: ConnectionFlags): Promise<Finding[]> {
  const { client, access } = connect(flags);
  try {
    const paths = localMeshOf(access);
    const locator = createLocator({ paths, server: access.server, client });
    const { sources, unread } = await readMesh(client, checkedKinds);
    if (unread.length > 0) process.stderr.write(`Not read, since this user may not: ${unread.join(', ')}\n`);
    const { inForce } = await client
      .get<{ readonly inForce: MeshConfig }>('/debug/mesh-config')
      .catch(() => ({ inForce: defaultMeshConfig }));
    const facts: SecurityFacts = {
      ...factsOf(inForce, paths ? meshFilesOf(paths) : []),
      defaultMtlsMode: inForce.defaultMtlsMode,
      ...(await certificatesOf(client)),
      listeners: await client.get<SecurityFacts['listeners']>('/debug/listeners').catch(() => ({})),
    };
    const found = checkSecurity(sources, facts);
    const ids = new Map(found.map((finding) => [finding, idOf(finding)]));
    const positions = await locator.locate([...ids.values()].filter((id) => id !== ''));
    return found.map((finding) => {
      const position = positions.get(ids.get(finding) ?? '');
      return position ? { ...finding, position } : finding;
    });
  } finally {
    client.close();
  }
}

function meshFilesOf(paths: StatePaths): string[] {
  try {
    return [readSupervisorConfig(paths.directory).meshFile];
  } catch {
    return [];
  }
}

/** The origin that a finding about an object names; '' for others. */
function idOf({ resource, path }: Finding): string {
  const [, kind, namespace = '', name] = /^([A-Z]\w+) (?:([^/ ]+)\/)?([^/ ]+)$/.exec(resource) ?? [];
  return kind === undefined || name === undefined ? '' : originId({ kind, namespace, name, path });
}

interface AuthorityStatus {
  readonly chains?: readonly { readonly what: string; readonly notAfter: string }[];
  readonly earliestEnd?: string;
}

async function certificatesOf(
  client: ApiClient,
): Promise<Pick<SecurityFacts, 'certificates' | 'firstWorkloadEnd'>> {
  const status = await client.get<AuthorityStatus>('/debug/ca').catch((): AuthorityStatus => ({}));
  return {
    certificates: (status.chains ?? []).map(({ what, notAfter }) => ({ what, notAfter: new Date(notAfter) })),
    ...(status.earliestEnd === undefined ? {} : { firstWorkloadEnd: new Date(status.earliestEnd) }),
  };
}
