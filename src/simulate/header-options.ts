import {
  HeaderValueOption_HeaderAppendAction as AppendAction,
  type HeaderValueOption,
} from '../../gen/proto/envoy/config/core/v3/base_pb.js';
import type { Call } from './call.ts';
import { callHeaders } from './call-headers.ts';

/** What routes, virtual hosts and route configurations say of a request's headers. */
interface HeaderRules {
  readonly requestHeadersToAdd: readonly HeaderValueOption[];
  readonly requestHeadersToRemove: readonly string[];
}

/** A request's headers after the rules, in their order; each removes before it adds. */
export function withHeaders(call: Call, rules: readonly HeaderRules[]): Record<string, string> {
  const headers: Record<string, string> = { ...call.headers };
  for (const { requestHeadersToAdd, requestHeadersToRemove } of rules) {
    for (const name of requestHeadersToRemove) delete headers[name.toLowerCase()];
    for (const option of requestHeadersToAdd) add(headers, option, call);
  }
  return headers;
}

function add(headers: Record<string, string>, option: HeaderValueOption, call: Call): void {
  const name = option.header?.key.toLowerCase() ?? '';
  const value = formatted(option.header?.value ?? '', call);
  if (name === '' || value === undefined || (value === '' && !option.keepEmptyValue)) return;
  const before = headers[name];
  switch (option.appendAction) {
    case AppendAction.APPEND_IF_EXISTS_OR_ADD:
      headers[name] = before === undefined ? value : `${before},${value}`;
      return;
    case AppendAction.ADD_IF_ABSENT:
      headers[name] = before ?? value;
      return;
    case AppendAction.OVERWRITE_IF_EXISTS:
      if (before !== undefined) headers[name] = value;
      return;
    default:
      headers[name] = value;
  }
}

/** Envoy's formatter, as far as a request alone can tell; undefined: it cannot. */
function formatted(value: string, call: Call): string | undefined {
  let known = true;
  const text = value.replace(
    /%%|%([A-Z][A-Z0-9_]*)(?:\(([^)]*)\))?(?::\d+)?%/g,
    (whole, operator, argument) => {
      if (whole === '%%') return '%';
      if (operator === 'REQ') return callHeaders(call)[String(argument).toLowerCase()] ?? '';
      known = false;
      return '';
    },
  );
  return known ? text : undefined;
}
