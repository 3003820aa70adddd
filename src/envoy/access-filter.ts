import { create, type MessageInitShape } from '@bufbuild/protobuf';
import {
  type AccessLogFilter,
  AccessLogFilterSchema,
  ComparisonFilter_Op,
} from '../../gen/proto/envoy/config/accesslog/v3/accesslog_pb.js';
import { ExpressionFilterSchema } from '../../gen/proto/envoy/extensions/access_loggers/filters/cel/v3/cel_pb.js';
import { pack } from './pack.ts';

type Specifier = MessageInitShape<typeof AccessLogFilterSchema>['filterSpecifier'];

/** A condition on a finished call, for access logs and for Envoy's own answers. */
export function accessFilter(filterSpecifier: Specifier): AccessLogFilter {
  return create(AccessLogFilterSchema, { filterSpecifier } as MessageInitShape<typeof AccessLogFilterSchema>);
}

/** The status is at least so much. */
export function atLeast(code: number): AccessLogFilter {
  const value = { defaultValue: code, runtimeKey: `ostria.access_log.status_${code}` };
  return accessFilter({
    case: 'statusCodeFilter',
    value: { comparison: { op: ComparisonFilter_Op.GE, value } },
  });
}

/** A CEL expression over Envoy's attributes holds. */
export function expression(text: string): AccessLogFilter {
  const config = pack(ExpressionFilterSchema, { expression: text });
  return accessFilter({
    case: 'extensionFilter',
    value: {
      name: 'envoy.access_loggers.extension_filters.cel',
      configType: { case: 'typedConfig', value: config },
    },
  });
}
