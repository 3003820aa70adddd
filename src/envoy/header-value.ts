import { create } from '@bufbuild/protobuf';
import {
  HeaderValueOption_HeaderAppendAction as AppendAction,
  type HeaderValueOption,
  HeaderValueOptionSchema,
} from '../../gen/proto/envoy/config/core/v3/base_pb.js';
import type { HeaderOperations } from '../plan/route-plan.ts';

/** A command operator of Envoy's formatter, such as `%REQ(x-user):10%`. */
const operator = /%[A-Z][A-Z0-9_]*(?:\([^)]*\))?(?::\d+)?%/g;

/**
 * A header value as Envoy's formatter reads it. Whole operators pass; a lone `%` would make Envoy refuse the whole resource
 * and is doubled, which yields one.
 */
export function formatterText(value: string): string {
  if (!value.includes('%')) return value;
  let result = '';
  let from = 0;
  for (const match of value.matchAll(operator)) {
    result += value.slice(from, match.index).replace(/%%?/g, '%%') + match[0];
    from = match.index + match[0].length;
  }
  return result + value.slice(from).replace(/%%?/g, '%%');
}

/** `add` appends to a header that is there, `set` replaces it. */
export function headerOptions(operations: HeaderOperations): HeaderValueOption[] {
  const option = (key: string, value: string, appendAction: AppendAction): HeaderValueOption =>
    create(HeaderValueOptionSchema, {
      header: { key, value: formatterText(value) },
      appendAction,
      keepEmptyValue: value === '',
    });
  return [
    ...operations.add.map(([key, value]) => option(key, value, AppendAction.APPEND_IF_EXISTS_OR_ADD)),
    ...operations.set.map(([key, value]) => option(key, value, AppendAction.OVERWRITE_IF_EXISTS_OR_ADD)),
  ];
}
