import { equalJson, getAt, isObject, type JsonObject } from '../../kit/json.ts';
import type { User } from '../access/user.ts';
import type { Issue, Kind } from '../kind.ts';
import type { ConfigObject } from '../object.ts';
import type { AdmissionHook, AdmissionRequest } from './admission-hooks.ts';
import { type Authorizer, subjectOf } from './context.ts';
import { forbidden } from './status.ts';

/*
 * CertificateSigningRequests as Kubernetes treats them: who asked is noted, what was asked for is not changed any more, approval has a
 * path of its own, and approving and signing need the permission for that signer.
 * See https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/
 */

const group = 'certificates.k8s.io';
const decisions: readonly unknown[] = ['Approved', 'Denied'];
const maxRequestBytes = 64 * 1024;

export function isCertificateRequest(kind: Pick<Kind, 'group' | 'kind'>): boolean {
  return kind.group === group && kind.kind === 'CertificateSigningRequest';
}

export function createCertificateRequestHook(authorizer: Authorizer): AdmissionHook {
  return {
    name: 'certificate-requests',
    async validate(request) {
      if (!isCertificateRequest(request.kind) || !request.object) return [];
      await checkPermission(request, authorizer);
      return request.operation === 'CREATE' ? requestIssues(request.object) : conditionIssues(request.object);
    },
  };
}

/** A new request: who asked is for the server to say. */
export function withRequester(object: ConfigObject, user: User): ConfigObject {
  const spec = isObject(object.spec) ? object.spec : {};
  const { username: _name, groups: _groups, uid: _uid, extra: _extra, ...asked } = spec;
  const uid = user.uid === undefined ? {} : { uid: user.uid };
  return { ...object, spec: { ...asked, username: user.name, groups: [...user.groups], ...uid } };
}

/** Approving needs `approve`, signing `sign`, on the signer (`signers` of certificates.k8s.io). */
async function checkPermission(
  { kind, subresource, user, object, old }: AdmissionRequest,
  authorizer: Authorizer,
): Promise<void> {
  const verb =
    subresource === 'approval'
      ? 'approve'
      : subresource === 'status' && !equalJson(getAt(object, 'status'), getAt(old, 'status'))
        ? 'sign'
        : undefined;
  const signer = String(getAt(old, 'spec', 'signerName') ?? '');
  if (verb === undefined) return;
  for (const name of [signer, `${signer.split('/')[0]}/*`]) {
    const resource = { group, version: 'v1', resource: 'signers', subresource: '', namespace: '', name };
    if ((await authorizer.authorize(user, { verb, resource })).allowed) return;
  }
  throw forbidden(
    subjectOf(kind),
    object?.metadata.name ?? '',
    `user "${user.name}" is not permitted to ${verb} requests with signerName "${signer}"`,
  );
}

function requestIssues(object: ConfigObject): Issue[] {
  const issues: Issue[] = [];
  const add = (path: string, code: string, message: string) =>
    issues.push({ path, severity: 'error', code, message });
  const signer = getAt(object, 'spec', 'signerName');
  if (typeof signer !== 'string' || !/^[a-z0-9.-]+\/[A-Za-z0-9._/-]+$/.test(signer))
    add('spec.signerName', 'FieldValueInvalid', 'must be a domain and a path, such as example.com/mesh');
  const request = getAt(object, 'spec', 'request');
  const text = typeof request === 'string' ? Buffer.from(request, 'base64').toString('latin1') : '';
  if (text.length > maxRequestBytes || !/-----BEGIN (NEW )?CERTIFICATE REQUEST-----/.test(text))
    add('spec.request', 'FieldValueInvalid', 'must be a PEM block "CERTIFICATE REQUEST", in base64');
  const usages = getAt(object, 'spec', 'usages');
  if (!Array.isArray(usages) || usages.length === 0)
    add('spec.usages', 'FieldValueRequired', 'name one usage at least');
  const seconds = getAt(object, 'spec', 'expirationSeconds');
  if (seconds !== undefined && !(typeof seconds === 'number' && seconds >= 600))
    add(
      'spec.expirationSeconds',
      'FieldValueInvalid',
      'may not specify a duration less than 600 seconds (10 minutes)',
    );
  return issues;
}

function conditionIssues(object: ConfigObject): Issue[] {
  const types = conditionsOf(object).map(({ type }) => type);
  if (!types.includes('Approved') || !types.includes('Denied')) return [];
  const message = 'Approved and Denied exclude each other';
  return [{ path: 'status.conditions', severity: 'error', code: 'FieldValueInvalid', message }];
}

/** The live request with the decisions of `changed`: made once, they stay. Everything else of it stays too. */
export function withDecisions(live: ConfigObject, changed: ConfigObject): JsonObject {
  const kept = conditionsOf(live);
  const made = conditionsOf(changed).filter(
    ({ type }) => decisions.includes(type) && !kept.some((one) => one.type === type),
  );
  const now = new Date().toISOString().replace(/\.\d+Z$/, 'Z');
  const dated = made.map((one) => ({ ...one, lastTransitionTime: now, lastUpdateTime: now }));
  return { ...(isObject(live.status) ? live.status : {}), conditions: [...kept, ...dated] };
}

/** The status that a signer writes, which decides nothing. */
export function withoutDecisions(live: ConfigObject, status: JsonObject): JsonObject {
  const written = Array.isArray(status.conditions) ? status.conditions.filter(isObject) : [];
  const conditions = [
    ...conditionsOf(live).filter(({ type }) => decisions.includes(type)),
    ...written.filter(({ type }) => !decisions.includes(type)),
  ];
  const { conditions: _written, ...rest } = status;
  return { ...rest, ...(conditions.length > 0 ? { conditions } : {}) };
}

/** What `kubectl get csr` shows of it. */
export function certificateRequestState(object: ConfigObject): string {
  const types = conditionsOf(object).map(({ type }) => type);
  const decided = ['Denied', 'Approved'].find((type) => types.includes(type)) ?? 'Pending';
  const issued = getAt(object, 'status', 'certificate') ? ',Issued' : '';
  return `${decided}${types.includes('Failed') ? ',Failed' : ''}${issued}`;
}

function conditionsOf(object: ConfigObject): JsonObject[] {
  const conditions = getAt(object, 'status', 'conditions');
  return Array.isArray(conditions) ? conditions.filter(isObject) : [];
}
