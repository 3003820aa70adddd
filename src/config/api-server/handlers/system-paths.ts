import { CodedError } from '../../../kit/coded-error.ts';
import type { User } from '../../access/user.ts';
import type { KindRegistry } from '../../kind.ts';
import {
  aggregatedDiscovery,
  apiGroup,
  apiGroupList,
  apiResourceList,
  apiVersions,
} from '../discovery/documents.ts';
import { hashText } from '../discovery/hash.ts';
import { type DiscoveredGroup, discover, kindsFingerprint } from '../discovery/resources.ts';
import type { OpenApiV2 } from '../openapi/openapi-v2.ts';
import { encodeOpenApiV2 } from '../openapi/openapi-v2-protobuf.ts';
import type { OpenApiV3 } from '../openapi/openapi-v3.ts';
import { parseAccept } from '../request/negotiate.ts';
import type { Answer } from '../request/respond.ts';
import type { VirtualResource } from '../reviews/virtual-resource.ts';
import { badRequest, methodNotAllowed, notAcceptable, unknownPath } from '../status.ts';

export interface SystemPathOptions {
  kinds: KindRegistry;
  virtual: readonly VirtualResource[];
  v2: OpenApiV2;
  v3: OpenApiV3;
  version: Record<string, string>;
  /** Named checks of `/readyz`; a text says what is wrong. */
  health: () => Promise<Record<string, string | undefined>>;
  jwks: () => Promise<unknown>;
  issuer: string;
  /** Paths of the program that embeds the API. */
  paths: Readonly<Record<string, SystemPath>>;
  actions: Readonly<Record<string, SystemAction>>;
}

/** What a POST to a path of the embedding program does; `body`: what was sent, as JSON. */
export type SystemAction = (query: URLSearchParams, body: () => Promise<unknown>) => unknown;

/** Answers a GET for a user who may make it; what is returned is sent as JSON. */
export type SystemPath = (query: URLSearchParams, user: User) => unknown;

export interface SystemRequest {
  path: string;
  method: string;
  query: URLSearchParams;
  user: User;
  accept: string | undefined;
  ifNoneMatch: string | undefined;
  host: string;
}

const protobufV2 = 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf';
/** The same without the @, which is not a legal media type: clients refuse to read an answer that carries it. */
const protobufV2Legal = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf';
const healthPath = /^\/(healthz|livez|readyz)(?:\/([^/]+))?$/;

/** Paths that anyone may read without credentials. */
export function isPublicPath(path: string): boolean {
  return healthPath.test(path) || path === '/version' || path === '/version/';
}

/** Answers what is not a resource: discovery, OpenAPI, version and health. */
export function createSystemPaths(options: SystemPathOptions) {
  let fingerprint = '';
  let groups: DiscoveredGroup[] = [];
  const current = () => {
    const now = kindsFingerprint(options.kinds);
    if (now !== fingerprint) {
      groups = discover(options.kinds, options.virtual);
      fingerprint = now;
    }
    return groups;
  };

  /** A POST to a path of the program that embeds the API. */
  async function act(path: string, query: URLSearchParams, body: () => Promise<unknown>): Promise<Answer> {
    const action = Object.hasOwn(options.actions, path) ? options.actions[path] : undefined;
    if (!action) throw methodNotAllowed(undefined, 'post');
    return json((await refusing(() => action(query, body))) ?? {});
  }

  async function answer(request: SystemRequest): Promise<Answer> {
    const path = request.path.length > 1 ? request.path.replace(/\/$/, '') : request.path;
    const health = healthPath.exec(path);
    if (health) return healthAnswer(options, health[1] ?? '', health[2], request.query);
    if (path === '/version') return json(options.version);
    if (path === '/openid/v1/jwks') return json(await options.jwks());
    if (path === '/.well-known/openid-configuration') return json(openIdConfiguration(options, request.host));
    if (path === '/openapi/v2') return openApiV2(options.v2, request);
    if (path === '/openapi/v3') return tagged(options.v3.index(), request);
    if (path.startsWith('/openapi/v3/'))
      return openApiV3(options.v3, path.slice('/openapi/v3/'.length), request);
    const further = Object.hasOwn(options.paths, path) ? options.paths[path] : undefined;
    if (further) return json(await refusing(() => further(request.query, request.user)));
    if (path === '/') return json({ paths: rootPaths(current()) });
    return discovery(current(), path, request);
  }
  return { act, answer };
}

/** What the embedding program finds wrong with a request is told as such. */
async function refusing(work: () => unknown): Promise<unknown> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof CodedError ? badRequest(error.message) : error;
  }
}

function json(body: unknown): Answer {
  return { code: 200, body };
}

function openIdConfiguration(options: SystemPathOptions, host: string): unknown {
  return {
    issuer: options.issuer,
    jwks_uri: `https://${host}/openid/v1/jwks`,
    response_types_supported: ['id_token'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['ES256'],
  };
}

async function healthAnswer(
  options: SystemPathOptions,
  endpoint: string,
  only: string | undefined,
  query: URLSearchParams,
): Promise<Answer> {
  const all = Object.entries(await options.health()).filter(
    ([name]) => name !== 'ready' || endpoint === 'readyz',
  );
  const checks = [['ping', undefined] as const, ...all].filter(
    ([name]) => only === undefined || name === only,
  );
  if (checks.length === 0) throw unknownPath();
  const failed = checks.filter(([, problem]) => problem !== undefined);
  const lines = checks.map(([name, problem]) =>
    problem === undefined ? `[+]${name} ok` : `[-]${name} failed: ${problem}`,
  );
  const verbose = query.has('verbose') || failed.length > 0;
  const verdict = `${endpoint} check ${failed.length === 0 ? 'passed' : 'failed'}`;
  return {
    code: failed.length === 0 ? 200 : 503,
    type: 'text/plain; charset=utf-8',
    body: verbose ? `${[...lines, verdict].join('\n')}\n` : 'ok',
  };
}

function discovery(groups: readonly DiscoveredGroup[], path: string, request: SystemRequest): Answer {
  const steps = path.split('/').slice(1);
  if (steps[0] === 'api' && steps.length === 1) {
    return aggregated(groups, true, request) ?? tagged(apiVersions(request.host), request);
  }
  if (steps[0] === 'apis' && steps.length === 1) {
    return aggregated(groups, false, request) ?? tagged(apiGroupList(groups), request);
  }
  if (steps[0] === 'api' && steps.length === 2) return resources(groups, '', steps[1] ?? '', request);
  if (steps[0] !== 'apis') throw unknownPath();
  const group = groups.find((one) => one.group === steps[1] && one.group !== '');
  if (!group) throw unknownPath();
  if (steps.length === 2) return tagged(apiGroup(group), request);
  if (steps.length === 3) return resources(groups, group.group, steps[2] ?? '', request);
  throw unknownPath();
}

function resources(
  groups: readonly DiscoveredGroup[],
  group: string,
  version: string,
  request: SystemRequest,
): Answer {
  const found = groups.find((one) => one.group === group)?.versions.find((one) => one.version === version);
  if (!found) throw unknownPath();
  const name = group === '' ? version : `${group}/${version}`;
  return tagged(apiResourceList(name, found.resources), request);
}

/** The aggregated document, when the client prefers it. */
function aggregated(
  groups: readonly DiscoveredGroup[],
  core: boolean,
  request: SystemRequest,
): Answer | undefined {
  for (const { type, params } of parseAccept(request.accept)) {
    if (type !== 'application/json' && type !== '*/*') continue;
    if (params.as === undefined) return undefined;
    const version = params.v ?? '';
    if (params.as !== 'APIGroupDiscoveryList' || params.g !== 'apidiscovery.k8s.io') continue;
    if (version !== 'v2' && version !== 'v2beta1') continue;
    const answer = tagged(aggregatedDiscovery(groups, core, version), request);
    return {
      ...answer,
      type: `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`,
    };
  }
  return undefined;
}

/** Documents that rarely change carry an ETag; a client that has it is told so (304). */
function tagged(body: unknown, request: SystemRequest): Answer {
  const text = `${JSON.stringify(body)}\n`;
  return taggedText(text, hashText(text), request, 'application/json');
}

function taggedText(text: string | Uint8Array, hash: string, request: SystemRequest, type: string): Answer {
  const etag = `"${hash}"`;
  const headers = { etag, vary: 'Accept', 'cache-control': 'public' };
  if (request.ifNoneMatch?.split(',').some((one) => one.trim() === etag))
    return { code: 304, body: '', type, headers };
  return { code: 200, body: text, type, headers };
}

function openApiV2(v2: OpenApiV2, request: SystemRequest): Answer {
  const { value, text, hash } = v2.document();
  const entries = parseAccept(request.accept);
  if (entries.length === 0) return taggedText(text, hash, request, 'application/json');
  for (const { type } of entries) {
    if (type === 'application/json' || type === '*/*' || type === 'application/*')
      return taggedText(text, hash, request, 'application/json');
    if (type === protobufV2 || type === protobufV2Legal) {
      return taggedText(encodeOpenApiV2(value), hash, request, protobufV2Legal);
    }
  }
  throw notAcceptable(['application/json', protobufV2]);
}

function openApiV3(v3: OpenApiV3, path: string, request: SystemRequest): Answer {
  const document = v3.document(path);
  if (!document) throw unknownPath();
  const asked = request.query.get('hash');
  const answer = taggedText(document.text, document.hash, request, 'application/json');
  // With the right hash in its URL the document can never change.
  if (asked === document.hash)
    return { ...answer, headers: { ...answer.headers, 'cache-control': 'public, immutable' } };
  return answer;
}

function rootPaths(groups: readonly DiscoveredGroup[]): string[] {
  const paths = [
    '/api',
    '/apis',
    '/healthz',
    '/livez',
    '/openapi/v2',
    '/openapi/v3',
    '/readyz',
    '/version',
    '/openid/v1/jwks',
    '/.well-known/openid-configuration',
  ];
  for (const { group, versions } of groups) {
    if (group === '') paths.push(...versions.map(({ version }) => `/api/${version}`));
    else paths.push(`/apis/${group}`, ...versions.map(({ version }) => `/apis/${group}/${version}`));
  }
  return paths.sort();
}
