import { existsSync, readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseEnv } from 'node:util';
import { isMap, isScalar, isSeq } from 'yaml';
import type { Dependency, MeshPort, MeshWorkload, RestartPolicy } from './mesh-file.ts';
import type { NodeReader } from './node-reader.ts';
import { parseHealthcheck } from './parse-healthcheck.ts';
import { parsePorts } from './parse-ports.ts';
import { splitCommand } from './split-command.ts';

/** Keys of Compose that mean something only where there are containers, and what to do instead. */
const containerKeys: Readonly<Record<string, string>> = {
  image: 'Ostria runs processes, not containers: give the program as command',
  build: 'Ostria runs processes, not containers: build beforehand and give the program as command',
  entrypoint: 'write the whole command line under command',
  container_name: 'pods are named after the key and the replica',
  networks: 'every workload of a mesh reaches every other; restrict it with AuthorizationPolicy',
  volumes: 'a process sees the file system as it is; use working_dir',
  expose: 'list the ports under ports',
  links: 'services find each other by name and by <SERVICE>_URL',
  user: 'workloads run as the user who runs ostria',
};

/** A workload before the keys of other workloads are known. */
type Entries = NonNullable<ReturnType<NodeReader['entries']>>;

interface Draft {
  name: string;
  service?: string | undefined;
  version?: string | undefined;
  namespace?: string | undefined;
  labels?: Record<string, string> | undefined;
  serviceAccount?: string | undefined;
  command?: readonly string[] | undefined;
  fileEnvironment?: Record<string, string> | undefined;
  environment?: Record<string, string> | undefined;
  workingDirectory?: string | undefined;
  ports?: MeshPort[] | undefined;
  replicas?: number | undefined;
  dependsOn?: Dependency[] | undefined;
  healthcheck?: MeshWorkload['healthcheck'];
  restart?: RestartPolicy | undefined;
  profiles?: string[] | undefined;
}

export interface WorkloadContext {
  /** Paths in the file are relative to it. */
  readonly directory: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

type KeyParser = (reader: NodeReader, value: unknown, draft: Draft, context: WorkloadContext) => void;

const keys: Readonly<Record<string, KeyParser>> = {
  service: (reader, value, draft) => {
    draft.service = reader.label(value, 'service');
  },
  version: (reader, value, draft) => {
    draft.version = parseLabelValue(reader, value, 'version');
  },
  namespace: (reader, value, draft) => {
    draft.namespace = reader.label(value, 'namespace');
  },
  serviceAccount: (reader, value, draft) => {
    draft.serviceAccount = reader.label(value, 'serviceAccount');
  },
  labels: (reader, value, draft) => {
    draft.labels = parseMapping(reader, value, 'labels');
  },
  command: (reader, value, draft) => {
    draft.command = parseCommand(reader, value);
  },
  environment: (reader, value, draft, context) => {
    draft.environment = parseEnvironment(reader, value, context);
  },
  env_file: (reader, value, draft, context) => {
    draft.fileEnvironment = readEnvFiles(reader, value, context);
  },
  working_dir: (reader, value, draft, context) => {
    const text = reader.text(value, 'working_dir');
    if (text === undefined) return;
    draft.workingDirectory = resolve(context.directory, text);
    if (!isDirectory(draft.workingDirectory))
      reader.problem(
        value,
        `working_dir ${draft.workingDirectory} is not a directory; create it or name another`,
      );
  },
  ports: (reader, value, draft) => {
    draft.ports = parsePorts(reader, value);
  },
  replicas: (reader, value, draft) => {
    draft.replicas = reader.integer(value, 'replicas', 0, 100);
  },
  scale: (reader, value, draft) => {
    draft.replicas = reader.integer(value, 'scale', 0, 100);
  },
  deploy: (reader, value, draft) => {
    for (const { key, keyNode, value: inner } of reader.entries(value, 'deploy') ?? [])
      if (key === 'replicas') draft.replicas = reader.integer(inner, 'deploy.replicas', 0, 100);
      else reader.problem(keyNode, `of deploy only replicas has a meaning here, not ${key}; remove it`);
  },
  depends_on: (reader, value, draft) => {
    draft.dependsOn = parseDependencies(reader, value);
  },
  healthcheck: (reader, value, draft) => {
    const healthcheck = parseHealthcheck(reader, value);
    if (healthcheck) draft.healthcheck = healthcheck;
  },
  restart: (reader, value, draft) => {
    draft.restart = parseRestart(reader, value);
  },
  profiles: (reader, value, draft) => {
    draft.profiles = reader.items(value, 'profiles')?.flatMap((item) => reader.text(item, 'a profile') ?? []);
  },
};

/** Reads one entry of `services`. Undefined when something is wrong with it, which the reader then knows. */
export function parseWorkload(
  reader: NodeReader,
  name: string,
  node: unknown,
  context: WorkloadContext,
): MeshWorkload | undefined {
  const before = reader.problems.length;
  const entries = reader.entries(node, `services.${name}`);
  if (!entries) return undefined;
  const draft: Draft = { name };
  for (const entry of entries) parseKey(reader, entry, draft, context);
  if (draft.command === undefined && !entries.some(({ key }) => key === 'command'))
    reader.problem(node, `services.${name} has no command; give the program that it runs`);
  if ((draft.replicas ?? 1) > 1 && draft.ports?.some(({ target }) => target !== undefined))
    reader.problem(
      node,
      `services.${name} has ${draft.replicas} replicas, but its program insists on one port; let it listen on the port given as PORT`,
    );
  return reader.problems.length > before ? undefined : complete(draft, context);
}

function parseKey(
  reader: NodeReader,
  { key, keyNode, value }: Entries[number],
  draft: Draft,
  context: WorkloadContext,
): void {
  if (key.startsWith('x-')) return;
  const parser = Object.hasOwn(keys, key) ? keys[key] : undefined;
  if (parser) {
    parser(reader, value, draft, context);
    return;
  }
  const hint = Object.hasOwn(containerKeys, key) ? containerKeys[key] : undefined;
  reader.problem(
    keyNode,
    hint === undefined
      ? `services.${draft.name} has the unknown key ${key}; known are ${Object.keys(keys).sort().join(', ')}`
      : `services.${draft.name}: ${key} has no meaning here. ${hint}`,
  );
}

function complete(draft: Draft, context: WorkloadContext): MeshWorkload {
  const service = draft.service ?? draft.name;
  const version = draft.version ?? 'v1';
  return {
    name: draft.name,
    service,
    version,
    namespace: draft.namespace ?? 'default',
    labels: { app: service, version, ...draft.labels },
    serviceAccount: draft.serviceAccount ?? service,
    command: draft.command ?? [],
    environment: { ...draft.fileEnvironment, ...draft.environment },
    workingDirectory: draft.workingDirectory ?? context.directory,
    ports: draft.ports ?? [],
    replicas: draft.replicas ?? 1,
    dependsOn: draft.dependsOn ?? [],
    ...(draft.healthcheck ? { healthcheck: draft.healthcheck } : {}),
    restart: draft.restart ?? { when: 'always' },
    profiles: draft.profiles ?? [],
  };
}

function parseLabelValue(reader: NodeReader, node: unknown, what: string): string | undefined {
  const text = reader.text(node, what);
  if (text === undefined || /^([A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)?$/.test(text)) return text;
  reader.problem(
    node,
    `${what} ${JSON.stringify(text)} is not a label value: use letters, digits, dashes, dots and underscores, at most 63, with a letter or digit at both ends`,
  );
  return undefined;
}

/** A mapping of text to text, or Compose's list of `key=value`. */
export function parseMapping(
  reader: NodeReader,
  node: unknown,
  what: string,
): Record<string, string> | undefined {
  if (isSeq(node)) {
    const pairs = (reader.items(node, what) ?? []).map((item): [string, string] => {
      const text = reader.text(item, what) ?? '';
      const equals = text.indexOf('=');
      return equals < 0 ? [text, ''] : [text.slice(0, equals), text.slice(equals + 1)];
    });
    return Object.fromEntries(pairs);
  }
  const entries = reader.entries(node, what);
  if (!entries) return undefined;
  return Object.fromEntries(
    entries.flatMap(({ key, value }) => {
      const text = reader.text(value, `${what}.${key}`);
      return text === undefined ? [] : [[key, text]];
    }),
  );
}

/** As `parseMapping`; a variable without a value is taken over from our environment, as in Compose. */
function parseEnvironment(
  reader: NodeReader,
  node: unknown,
  { environment }: WorkloadContext,
): Record<string, string> | undefined {
  const result: Record<string, string> = {};
  const take = (name: string): void => {
    const value = environment[name];
    if (value !== undefined) result[name] = value;
  };
  if (isSeq(node)) {
    for (const item of reader.items(node, 'environment') ?? []) {
      const text = reader.text(item, 'environment');
      if (text === undefined) continue;
      const equals = text.indexOf('=');
      if (equals < 0) take(text);
      else result[text.slice(0, equals)] = text.slice(equals + 1);
    }
    return result;
  }
  for (const { key, value } of reader.entries(node, 'environment') ?? []) {
    if (isScalar(value) && value.value === null) take(key);
    else {
      const text = reader.text(value, `environment.${key}`);
      if (text !== undefined) result[key] = text;
    }
  }
  return result;
}

function readEnvFiles(
  reader: NodeReader,
  node: unknown,
  context: WorkloadContext,
): Record<string, string> | undefined {
  const items = isSeq(node) ? (reader.items(node, 'env_file') ?? []) : [node];
  const result: Record<string, string> = {};
  for (const item of items) {
    const text = reader.text(item, 'env_file');
    if (text === undefined) continue;
    const path = resolve(context.directory, text);
    try {
      Object.assign(result, parseEnv(readFileSync(path, 'utf8')));
    } catch (error) {
      reader.problem(
        item,
        `env_file ${path} cannot be read (${(error as Error).message}); create it or remove the key`,
      );
    }
  }
  return result;
}

function parseCommand(reader: NodeReader, node: unknown): readonly string[] | undefined {
  const words = commandWords(reader, node);
  if (words) checkPort(reader, node, words);
  return words;
}

/** An argument that is meant to be the port, alone or behind an option's or an address's sign. */
const portVariable = /(?:^|[=:])\$(?:PORT|\{PORT\})$/;
const shell = /(?:^|\/)(?:ba|da|k|z)?sh$/;

/** PORT is set when the program starts: filled in here it would be empty, and as it stands only a shell fills it in. */
function checkPort(reader: NodeReader, node: unknown, words: readonly string[]): void {
  const stands = words.some((word) => portVariable.test(word)) && !words.some((word) => shell.test(word));
  if (stands || reader.isUnset(node, 'PORT'))
    reader.problem(
      node,
      "command has $PORT, which is set when the program starts: only a shell can fill it in; write [sh, -c, 'exec … $$PORT']",
    );
}

function commandWords(reader: NodeReader, node: unknown): readonly string[] | undefined {
  if (isSeq(node)) {
    const words = (reader.items(node, 'command') ?? []).flatMap((item) => reader.text(item, 'command') ?? []);
    if (words.length > 0) return words;
    reader.problem(node, 'command is empty; give the program and its arguments');
    return undefined;
  }
  const text = reader.text(node, 'command');
  if (text === undefined) return undefined;
  const words = splitCommand(text);
  if (words && words.length > 0) return words;
  reader.problem(
    node,
    words
      ? 'command is empty; give the program and its arguments'
      : 'command has a quote that does not end; close it',
  );
  return undefined;
}

const conditions = ['service_started', 'service_healthy', 'service_completed_successfully'] as const;

function parseDependencies(reader: NodeReader, node: unknown): Dependency[] | undefined {
  if (isSeq(node))
    return (reader.items(node, 'depends_on') ?? []).flatMap((item) => {
      const name = reader.text(item, 'depends_on');
      return name === undefined ? [] : [{ name, condition: 'service_started' as const }];
    });
  return reader.entries(node, 'depends_on')?.map(({ key, value }): Dependency => {
    let condition: Dependency['condition'] = 'service_started';
    if (isMap(value))
      for (const inner of reader.entries(value, `depends_on.${key}`) ?? []) {
        if (inner.key === 'condition')
          condition = reader.oneOf(inner.value, `depends_on.${key}.condition`, conditions) ?? condition;
        else if (inner.key !== 'restart' && inner.key !== 'required')
          reader.problem(
            inner.keyNode,
            `depends_on.${key} has the unknown key ${inner.key}; known is condition`,
          );
      }
    return { name: key, condition };
  });
}

function parseRestart(reader: NodeReader, node: unknown): RestartPolicy | undefined {
  const text = reader.text(node, 'restart');
  if (text === undefined) return undefined;
  if (text === 'no') return { when: 'never' };
  if (text === 'always' || text === 'unless-stopped') return { when: 'always' };
  const max = /^on-failure(?::(\d+))?$/.exec(text);
  if (max) return { when: 'on-failure', ...(max[1] === undefined ? {} : { max: Number(max[1]) }) };
  reader.problem(
    node,
    `restart must be "no", always, unless-stopped, on-failure or on-failure:N, not ${JSON.stringify(text)}`,
  );
  return undefined;
}

function isDirectory(path: string): boolean {
  return existsSync(path) && statSync(path).isDirectory();
}
