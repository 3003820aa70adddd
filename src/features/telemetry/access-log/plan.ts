import { originNamespace } from '../../../envoy/pack.ts';
import type { FilterChainPlan } from '../../../plan/listener-plan.ts';
import { fill } from '../../../plan/slot.ts';
import type { View } from '../../../snapshot/view.ts';
import { type AccessLogPlan, accessLogSlot } from './schema.ts';

/** Istio's documented default fields, and at the end the object and field that decided the route. */
const defaultText = [
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS%',
  '%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%"',
  '%BYTES_RECEIVED% %BYTES_SENT% %DURATION% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(:AUTHORITY)%"',
  '"%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS%',
  `%REQUESTED_SERVER_NAME% %ROUTE_NAME% origin=%METADATA(ROUTE:${originNamespace}:origin)%`,
].join(' ');

const defaultFields: Readonly<Record<string, string>> = {
  start_time: '%START_TIME%',
  method: '%REQ(:METHOD)%',
  path: '%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%',
  protocol: '%PROTOCOL%',
  response_code: '%RESPONSE_CODE%',
  response_flags: '%RESPONSE_FLAGS%',
  response_code_details: '%RESPONSE_CODE_DETAILS%',
  upstream_transport_failure_reason: '%UPSTREAM_TRANSPORT_FAILURE_REASON%',
  bytes_received: '%BYTES_RECEIVED%',
  bytes_sent: '%BYTES_SENT%',
  duration: '%DURATION%',
  authority: '%REQ(:AUTHORITY)%',
  upstream_host: '%UPSTREAM_HOST%',
  upstream_cluster: '%UPSTREAM_CLUSTER_RAW%',
  downstream_remote_address: '%DOWNSTREAM_REMOTE_ADDRESS%',
  requested_server_name: '%REQUESTED_SERVER_NAME%',
  route_name: '%ROUTE_NAME%',
  origin: `%METADATA(ROUTE:${originNamespace}:origin)%`,
};

/** Every request where MeshConfig names a file; otherwise failures alone, on standard output: a line per request costs a tenth of the CPU. */
export function decorateChain(view: View, chain: FilterChainPlan): void {
  const file = view.mesh('accessLogFile');
  fill(
    chain,
    accessLogSlot,
    {
      path: file === '' ? '/dev/stdout' : file,
      errorsOnly: file === '',
      format: formatOf(view.mesh('accessLogEncoding'), view.mesh('accessLogFormat')),
    },
    { kind: 'MeshConfig', namespace: '', name: 'mesh', path: 'accessLogFile' },
  );
}

function formatOf(encoding: 'TEXT' | 'JSON', format: string): AccessLogPlan['format'] {
  if (encoding === 'JSON') return { type: 'json', fields: jsonFields(format) ?? defaultFields };
  const text = format === '' ? defaultText : format;
  return { type: 'text', text: text.endsWith('\n') ? text : `${text}\n` };
}

/** The `accessLogFormat` of JSON logs is itself a JSON object; what is none falls back to the default fields. */
function jsonFields(format: string): Record<string, string> | undefined {
  if (format === '') return undefined;
  try {
    const parsed: unknown = JSON.parse(format);
    if (typeof parsed !== 'object' || parsed === null) return undefined;
    return Object.fromEntries(Object.entries(parsed).map(([name, value]) => [name, String(value)]));
  } catch {
    return undefined;
  }
}
