import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { parse } from 'yaml';
import { CodedError, messageOf } from './coded-error.ts';
import { isObject } from './json.ts';

/** What is needed to talk to one API server. PEM texts. */
export interface ApiAccess {
  /** Where it was read, for messages. */
  readonly source: string;
  /** `https://host:port`. */
  readonly server: string;
  readonly ca?: string;
  readonly certificate?: string;
  readonly key?: string;
  readonly token?: string;
  readonly insecure: boolean;
  readonly namespace: string;
}

interface Named {
  readonly name?: string;
  readonly [section: string]: unknown;
}

type Section = Readonly<Record<string, unknown>>;

/** Paths where kubectl looks: `$KUBECONFIG` (several, joined by `:`), else `~/.kube/config`. */
export function kubeconfigPaths(env: Readonly<Record<string, string | undefined>> = process.env): string[] {
  const listed = (env.KUBECONFIG ?? '').split(delimiter).filter(Boolean);
  return listed.length > 0 ? listed : [join(env.HOME ?? homedir(), '.kube', 'config')];
}

/** Reads one kubeconfig file. Throws `KubeconfigInvalid`, naming the file and what is missing. */
export function readKubeconfig(path: string, context?: string): ApiAccess {
  const file = resolve(path);
  const fail = (why: string): CodedError => new CodedError('KubeconfigInvalid', `kubeconfig ${file}: ${why}`);
  let root: Section;
  try {
    root = asSection(parse(readFileSync(file, 'utf8')));
  } catch (error) {
    throw fail(messageOf(error));
  }
  const named = (list: string, name: unknown, key: string): Section => {
    const entries = root[list];
    const found = Array.isArray(entries)
      ? (entries as Named[]).find((entry) => entry?.name === name)
      : undefined;
    if (!found) throw fail(`it has no ${key} named ${JSON.stringify(name)}`);
    return asSection(found[key]);
  };
  const contextName = context ?? root['current-context'];
  if (typeof contextName !== 'string' || contextName === '')
    throw fail('it has no current-context; choose one with --context');
  const chosen = named('contexts', contextName, 'context');
  const cluster = named('clusters', chosen.cluster, 'cluster');
  const user = chosen.user === undefined ? {} : named('users', chosen.user, 'user');
  if (typeof cluster.server !== 'string') throw fail(`the cluster of context ${contextName} has no server`);
  if (user.exec !== undefined || user['auth-provider'] !== undefined)
    throw fail(
      `the user of context ${contextName} authenticates with a plugin, which Ostria does not run; use a certificate or a token`,
    );
  const pem = (section: Section, name: string): string | undefined => {
    const data = section[`${name}-data`];
    if (typeof data === 'string') return Buffer.from(data, 'base64').toString('utf8');
    const from = section[name];
    return typeof from === 'string' ? readFileSync(resolve(dirname(file), from), 'utf8') : undefined;
  };
  const token = text(user.token) ?? readToken(text(user.tokenFile), file);
  return {
    source: `${file}, context ${contextName}`,
    server: cluster.server.replace(/\/+$/, ''),
    ...defined({
      ca: pem(cluster, 'certificate-authority'),
      certificate: pem(user, 'client-certificate'),
      key: pem(user, 'client-key'),
      token,
    }),
    insecure: cluster['insecure-skip-tls-verify'] === true,
    namespace: text(chosen.namespace) ?? 'default',
  };
}

function readToken(path: string | undefined, file: string): string | undefined {
  return path === undefined ? undefined : readFileSync(resolve(dirname(file), path), 'utf8').trim();
}

function asSection(value: unknown): Section {
  if (isObject(value)) return value;
  throw new Error('is not a mapping');
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** Without the keys whose value is undefined. */
function defined<T extends Record<string, unknown>>(values: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never;
}
