/** What a request is about, from its method and path. Kubernetes' docs call these "request attributes". */
export interface RequestInfo {
  /** `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`; for other paths the lower-case method. */
  verb: string;
  method: string;
  path: string;
  query: URLSearchParams;
  /** Present for `/api/...` and `/apis/...` resource paths. */
  resource?: ResourcePath;
}

export interface ResourcePath {
  group: string;
  version: string;
  /** Plural. */
  resource: string;
  /** '' when there is none. */
  subresource: string;
  /** '' for cluster-wide requests. For `namespaces/NAME` it is NAME, as Kubernetes' authorizers expect. */
  namespace: string;
  /** '' for collections. */
  name: string;
  /** The path had a `namespaces/NS/` part before the resource. */
  inNamespace: boolean;
}

const methodVerbs: Record<string, string> = {
  GET: 'get',
  HEAD: 'get',
  POST: 'create',
  PUT: 'update',
  PATCH: 'patch',
  DELETE: 'delete',
};

export function parseRequestInfo(method: string, url: string): RequestInfo {
  const question = url.indexOf('?');
  const path = question < 0 ? url : url.slice(0, question);
  const query = new URLSearchParams(question < 0 ? '' : url.slice(question + 1));
  const steps = path.split('/').filter((step) => step !== '');
  const info: RequestInfo = { verb: method.toLowerCase(), method, path, query };
  const base = steps[0] === 'api' ? 2 : steps[0] === 'apis' ? 3 : 0;
  if (base === 0 || steps.length <= base) return info;
  const decoded = decodeSteps(steps);
  if (!decoded) return info;
  const group = base === 2 ? '' : (decoded[1] ?? '');
  const version = decoded[base - 1] ?? '';
  let rest = decoded.slice(base);
  // The old form /api/v1/watch/… is a watch on the rest.
  const oldWatch = rest[0] === 'watch' && rest.length > 1;
  if (oldWatch) rest = rest.slice(1);
  const resource = parseResource(group, version, rest);
  if (!resource) return info;
  return { ...info, resource, verb: verbOf(method, query, resource, oldWatch) };
}

function decodeSteps(steps: readonly string[]): string[] | undefined {
  try {
    return steps.map(decodeURIComponent);
  } catch {
    return undefined;
  }
}

function parseResource(group: string, version: string, rest: readonly string[]): ResourcePath | undefined {
  const path: ResourcePath = {
    group,
    version,
    resource: '',
    subresource: '',
    namespace: '',
    name: '',
    inNamespace: false,
  };
  if (rest[0] === 'namespaces' && rest.length > 2 && !isNamespaceSubresource(rest[2], rest.length)) {
    if (rest.length > 5) return undefined;
    path.inNamespace = true;
    path.namespace = rest[1] ?? '';
    path.resource = rest[2] ?? '';
    path.name = rest[3] ?? '';
    path.subresource = rest[4] ?? '';
    return path;
  }
  if (rest.length > 3) return undefined;
  path.resource = rest[0] ?? '';
  path.name = rest[1] ?? '';
  path.subresource = rest[2] ?? '';
  if (path.resource === 'namespaces' && group === '') path.namespace = path.name;
  return path;
}

function isNamespaceSubresource(step: string | undefined, length: number): boolean {
  return length === 3 && (step === 'status' || step === 'finalize');
}

function verbOf(method: string, query: URLSearchParams, resource: ResourcePath, oldWatch: boolean): string {
  const verb = methodVerbs[method] ?? method.toLowerCase();
  if (verb === 'get' && resource.subresource === '') {
    const asked = query.get('watch');
    const watch = oldWatch || (asked !== null && asked !== 'false' && asked !== '0');
    if (resource.name === '') return watch ? 'watch' : 'list';
    // Watching one object by its path is a watch of its collection with a name selector.
    return watch ? 'watch' : 'get';
  }
  if (verb === 'delete' && resource.name === '') return 'deletecollection';
  return verb;
}

/** A boolean query parameter as Kubernetes reads it: present without a value means true. */
export function booleanParam(query: URLSearchParams, name: string): boolean {
  const value = query.get(name);
  return value !== null && value !== 'false' && value !== '0';
}
