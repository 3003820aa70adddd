import { isObject } from '../../../kit/json.ts';
import type { Issue } from '../../kind.ts';
import type { ConfigObject } from '../../object.ts';
import type { AdmissionRequest } from '../admission-hooks.ts';
import { type RequestContext, subjectOf, type Target, warn } from '../context.ts';
import { ApiError, badRequest, invalid, tooLarge } from '../status.ts';
import { tidyMetadata, validateMetadata } from './metadata.ts';
import { markPlannedBehaviour } from './planned-behaviour.ts';

export type FieldValidation = 'Strict' | 'Warn' | 'Ignore';

export interface AdmissionInput {
  target: Target;
  operation: 'CREATE' | 'UPDATE';
  subresource: string;
  object: ConfigObject;
  old: ConfigObject | undefined;
  dryRun: boolean;
  fieldValidation: FieldValidation;
  /** JSON paths of keys that the body held twice. */
  duplicates: readonly string[];
  locate: ((path: string) => string | undefined) | undefined;
}

/**
 * Everything that stands between a request and the store: schema (pruning, defaults, types, rules), mutating hooks, metadata
 * rules, the kind's own rules, validating hooks. Returns the object to store, or throws with every complaint at once.
 */
export async function admit(context: RequestContext, input: AdmissionInput): Promise<ConfigObject> {
  const { target, old } = input;
  let verdict = context.schema({ ...target, object: input.object, old });
  reportUnknown(context, input, verdict.unknownFields);
  const request: AdmissionRequest = {
    ...target,
    operation: input.operation,
    subresource: input.subresource,
    namespace: input.object.metadata.namespace ?? '',
    name: input.object.metadata.name,
    user: context.user,
    agent: context.agent,
    object: verdict.object,
    old,
    dryRun: input.dryRun,
    warn: (message) => warn(context, message),
  };
  const mutators = context.hooks.filter((hook) => hook.mutate);
  if (mutators.length > 0) {
    request.object = structuredClone(verdict.object);
    for (const hook of mutators) await hook.mutate?.(request);
    verdict = context.schema({ ...target, object: request.object, old });
  }
  const object: ConfigObject = { ...verdict.object, metadata: tidyMetadata(verdict.object.metadata) };
  const issues: Issue[] = [...validateMetadata(object, target.kind, old, context.limits), ...verdict.issues];
  const sound = !issues.some((issue) => issue.severity === 'error');
  // A kind's own rules may rely on the types that its schema promises.
  if (sound && input.subresource === '') issues.push(...(target.kind.validate?.(object) ?? []));
  for (const hook of context.hooks) issues.push(...((await hook.validate?.({ ...request, object })) ?? []));
  refuse(context, input, object, issues);
  const marked = markPlannedBehaviour(object, target, new Date(context.clock.now()), (message) =>
    warn(context, message),
  );
  checkSize(marked, context.limits.objectBytes);
  return marked;
}

function refuse(
  context: RequestContext,
  input: AdmissionInput,
  object: ConfigObject,
  issues: readonly Issue[],
): void {
  const place = (issue: Issue): Issue => {
    const at = input.locate?.(issue.path);
    return at ? { ...issue, message: `${issue.message} (${at})` } : issue;
  };
  for (const issue of issues) {
    if (issue.severity === 'warning')
      warn(context, issue.path === '' ? issue.message : `${issue.path}: ${issue.message}`);
  }
  const errors = issues.filter((issue) => issue.severity === 'error').map(place);
  if (errors.length > 0) {
    throw invalid(subjectOf(input.target.kind), object.metadata.name, errors, context.limits.causes);
  }
}

function reportUnknown(context: RequestContext, input: AdmissionInput, unknown: readonly string[]): void {
  if (input.fieldValidation === 'Ignore') return;
  const describe = (path: string) => {
    const at = input.locate?.(path);
    return at ? `"${path}" (${at})` : `"${path}"`;
  };
  const complaints = [
    ...unknown.map((path) => `unknown field ${describe(path)}`),
    ...input.duplicates.map((path) => `duplicate field ${describe(path)}`),
  ];
  if (complaints.length === 0) return;
  if (input.fieldValidation === 'Warn') {
    for (const complaint of complaints) warn(context, complaint);
    return;
  }
  const { kind, version } = input.target;
  const shown = complaints.slice(0, context.limits.causes);
  const error = badRequest(
    `${kind.kind} in version "${version.name}" cannot be handled as a ${kind.kind}: strict decoding error: ${shown.join(', ')}`,
  );
  error.status.details = {
    causes: [
      ...unknown.map((field) => ({ reason: 'UnknownField', message: 'unknown field', field })),
      ...input.duplicates.map((field) => ({
        reason: 'FieldValueDuplicate',
        message: 'duplicate field',
        field,
      })),
    ].slice(0, context.limits.causes),
  };
  throw error;
}

function checkSize(object: ConfigObject, limit: number): void {
  const size = Buffer.byteLength(JSON.stringify(object));
  if (size > limit)
    throw tooLarge(`the object has ${size} bytes, more than the ${limit} that an object may have`);
}

/** An object body must be a JSON object of the kind that the path names; both may be left out of the body. */
export function checkKindOf(value: unknown, target: Target, apiVersion: string): ConfigObject {
  if (!isObject(value))
    throw badRequest('the body must be one object: { "apiVersion": …, "kind": …, "metadata": … }');
  if (value.kind === 'List' || (typeof value.kind === 'string' && value.kind === `${target.kind.kind}List`)) {
    throw badRequest('the body is a list: send its items one by one');
  }
  if (value.apiVersion !== undefined && value.apiVersion !== apiVersion) {
    throw badRequest(
      `the API version in the data (${String(value.apiVersion)}) does not match the expected API version (${apiVersion})`,
    );
  }
  if (value.kind !== undefined && value.kind !== target.kind.kind) {
    throw badRequest(
      `the kind in the data (${String(value.kind)}) does not match the expected kind (${target.kind.kind})`,
    );
  }
  const metadata = value.metadata ?? {};
  return { ...value, apiVersion, kind: target.kind.kind, metadata } as ConfigObject;
}

export function fieldValidationOf(query: URLSearchParams): FieldValidation {
  const value = query.get('fieldValidation');
  if (value === null || value === '') return 'Warn';
  if (value === 'Strict' || value === 'Warn' || value === 'Ignore') return value;
  throw new ApiError(
    422,
    'Invalid',
    `fieldValidation: Unsupported value: "${value}": supported values: "Ignore", "Strict", "Warn"`,
  );
}
