/**
 * What Envoy's metrics tell of a call, as the text of one tag: each tag costs a few hundred instructions per metric and request, a field
 * of a text next to nothing. The agent makes Istio's labels of it again. In this order; the caller's claim about itself comes last, since it
 * may hold anything.
 */
const callFields = [
  'reporter',
  'request_protocol',
  'connection_security_policy',
  'response_code',
  'grpc_response_status',
  'response_flags',
  'destination_service',
  'destination_service_namespace',
  /** Not empty: the series tells of requests that no route took. */
  'unrouted',
  /** The other side's SPIFFE id. */
  'principal',
  /** What is known of the other workload (`encodeFacts`). */
  'peer',
] as const;

export type CallField = (typeof callFields)[number];

export const callTag = 'call';

const separator = '|';

/** The tag's text of values, or its format of formats. Fields that are not given are empty. */
export function joinCall(fields: Readonly<Partial<Record<CallField, string>>>): string {
  return callFields.map((field) => fields[field] ?? '').join(separator);
}

/** The fields of a tag's text that are not empty. */
export function splitCall(text: string): Map<CallField, string> {
  const parts = text.split(separator);
  const last = callFields.length - 1;
  const values = [...parts.slice(0, last), parts.slice(last).join(separator)];
  return new Map(
    callFields.flatMap((field, i): [CallField, string][] => (values[i] ? [[field, values[i]]] : [])),
  );
}
