import type { Issue } from '../kind.ts';

export interface StatusCause {
  reason?: string;
  message?: string;
  field?: string;
}

export interface StatusDetails {
  name?: string;
  group?: string;
  kind?: string;
  uid?: string;
  causes?: StatusCause[];
  retryAfterSeconds?: number;
}

/** `Status` of meta/v1: how Kubernetes answers what is not an object. */
export interface Status {
  kind: 'Status';
  apiVersion: 'v1';
  metadata: Record<string, unknown>;
  status: 'Success' | 'Failure';
  message?: string;
  reason?: string;
  details?: StatusDetails;
  code: number;
}

/** A request that ends with a failure `Status`. `code` is the Status' reason, stable as Kubernetes keeps it. */
export class ApiError extends Error {
  readonly status: Status;
  readonly code: string;

  constructor(http: number, reason: string, message: string, details?: StatusDetails) {
    super(message);
    this.name = 'ApiError';
    this.code = reason;
    this.status = {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message,
      ...(reason === '' ? {} : { reason }),
      ...(details ? { details } : {}),
      code: http,
    };
  }
}

/** What a message names: `virtualservices.networking.istio.io "reviews"`. */
export interface Subject {
  group: string;
  /** Plural resource name. */
  resource: string;
  kind?: string;
}

function qualified(subject: Subject): string {
  return subject.group === '' ? subject.resource : `${subject.resource}.${subject.group}`;
}

function detailsOf(subject: Subject, name: string): StatusDetails {
  return {
    ...(name === '' ? {} : { name }),
    ...(subject.group === '' ? {} : { group: subject.group }),
    kind: subject.resource,
  };
}

export function notFound(subject: Subject, name: string): ApiError {
  return new ApiError(404, 'NotFound', `${qualified(subject)} "${name}" not found`, detailsOf(subject, name));
}

/** No such path or resource at all; clients tell it from a missing object by its text. */
export function unknownPath(): ApiError {
  return new ApiError(404, 'NotFound', 'the server could not find the requested resource', {});
}

export function alreadyExists(subject: Subject, name: string): ApiError {
  const message = `${qualified(subject)} "${name}" already exists`;
  return new ApiError(409, 'AlreadyExists', message, detailsOf(subject, name));
}

export function conflict(subject: Subject, name: string, why: string): ApiError {
  const message = `Operation cannot be fulfilled on ${qualified(subject)} "${name}": ${why}`;
  return new ApiError(409, 'Conflict', message, detailsOf(subject, name));
}

export function modifiedConflict(subject: Subject, name: string): ApiError {
  return conflict(
    subject,
    name,
    'the object has been modified; please apply your changes to the latest version and try again',
  );
}

export function forbidden(subject: Subject, name: string, why: string): ApiError {
  const what = name === '' ? qualified(subject) : `${qualified(subject)} "${name}"`;
  return new ApiError(403, 'Forbidden', `${what} is forbidden: ${why}`, detailsOf(subject, name));
}

export function badRequest(message: string): ApiError {
  return new ApiError(400, 'BadRequest', message);
}

export function unauthorized(message = 'Unauthorized'): ApiError {
  return new ApiError(401, 'Unauthorized', message);
}

export function methodNotAllowed(subject: Subject | undefined, verb: string): ApiError {
  const message = subject
    ? `${verb} is not supported on resources of kind "${qualified(subject)}"`
    : 'the server does not allow this method on the requested resource';
  return new ApiError(405, 'MethodNotAllowed', message, subject ? detailsOf(subject, '') : {});
}

export function notAcceptable(types: readonly string[]): ApiError {
  return new ApiError(
    406,
    'NotAcceptable',
    `only the following media types are accepted: ${types.join(', ')}`,
  );
}

export function unsupportedMediaType(given: string, types: readonly string[]): ApiError {
  return new ApiError(
    415,
    'UnsupportedMediaType',
    `the body of the request was in an unknown format (${given || 'no Content-Type'}) - accepted media types include: ${types.join(', ')}`,
  );
}

export function tooLarge(message: string): ApiError {
  return new ApiError(413, 'RequestEntityTooLarge', message);
}

export function expired(message: string): ApiError {
  return new ApiError(410, 'Expired', message);
}

export function tooManyRequests(message: string): ApiError {
  return new ApiError(429, 'TooManyRequests', message, { retryAfterSeconds: 1 });
}

export function timedOut(message: string): ApiError {
  return new ApiError(504, 'Timeout', message, { retryAfterSeconds: 1 });
}

/** A read at a revision that the store has not reached. Clients know it by its cause. */
export function revisionTooLarge(wanted: number, current: number): ApiError {
  return new ApiError(504, 'Timeout', `Too large resource version: ${wanted}, current: ${current}`, {
    causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }],
    retryAfterSeconds: 1,
  });
}

export function unavailable(message: string): ApiError {
  return new ApiError(503, 'ServiceUnavailable', message, { retryAfterSeconds: 1 });
}

export function internalError(message: string): ApiError {
  return new ApiError(500, 'InternalError', `Internal error occurred: ${message}`, {
    causes: [{ message }],
  });
}

/** 422 with one cause per issue, `field` being its JSON path. */
export function invalid(subject: Subject, name: string, issues: readonly Issue[], maxCauses = 100): ApiError {
  const shown = issues.slice(0, maxCauses);
  const causes = shown.map((issue) => ({
    reason: issue.code,
    message: causeMessage(issue),
    field: issue.path === '' ? '<root>' : issue.path,
  }));
  const texts = causes.map((cause) => `${cause.field}: ${cause.message}`);
  if (issues.length > shown.length) texts.push(`and ${issues.length - shown.length} more`);
  const summary = texts.length === 1 ? (texts[0] ?? '') : `[${texts.join(', ')}]`;
  const kind = subject.kind ?? subject.resource;
  const qualifiedKind = subject.group === '' ? kind : `${kind}.${subject.group}`;
  return new ApiError(422, 'Invalid', `${qualifiedKind} "${name}" is invalid: ${summary}`, {
    ...(name === '' ? {} : { name }),
    ...(subject.group === '' ? {} : { group: subject.group }),
    kind,
    causes,
  });
}

/** The leading words by which users of Kubernetes know each cause. */
const causeWords: Record<string, string> = {
  FieldValueInvalid: 'Invalid value',
  FieldValueRequired: 'Required value',
  FieldValueNotSupported: 'Unsupported value',
  FieldValueForbidden: 'Forbidden',
  FieldValueTypeInvalid: 'Invalid value',
  FieldValueDuplicate: 'Duplicate value',
  FieldValueTooLong: 'Too long',
  FieldValueTooMany: 'Too many',
};

function causeMessage(issue: Issue): string {
  const words = causeWords[issue.code];
  if (!words || issue.message.startsWith(words)) return issue.message;
  return `${words}: ${issue.message}`;
}

export function success(details: StatusDetails): Status {
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details, code: 200 };
}
