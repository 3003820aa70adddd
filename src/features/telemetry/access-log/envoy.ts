import { create } from '@bufbuild/protobuf';
import {
  type AccessLog,
  type AccessLogFilter,
  AccessLogFilterSchema,
  AccessLogSchema,
  ComparisonFilter_Op,
} from '../../../../gen/proto/envoy/config/accesslog/v3/accesslog_pb.js';
import { AccessLogType } from '../../../../gen/proto/envoy/data/accesslog/v3/accesslog_pb.js';
import { FileAccessLogSchema } from '../../../../gen/proto/envoy/extensions/access_loggers/file/v3/file_pb.js';
import { pack } from '../../../envoy/pack.ts';
import type { FilterChainPlan } from '../../../plan/listener-plan.ts';
import { read } from '../../../plan/slot.ts';
import { accessLogSlot } from './schema.ts';

const serverError = create(AccessLogFilterSchema, {
  filterSpecifier: {
    case: 'statusCodeFilter',
    value: {
      comparison: {
        op: ComparisonFilter_Op.GE,
        value: { defaultValue: 500, runtimeKey: 'ostria.access_log.min_status' },
      },
    },
  },
});
const anyFlag = create(AccessLogFilterSchema, {
  filterSpecifier: { case: 'responseFlagFilter', value: {} },
});
const failed = create(AccessLogFilterSchema, {
  filterSpecifier: { case: 'orFilter', value: { filters: [serverError, anyFlag] } },
});
const connectionEnd = create(AccessLogFilterSchema, {
  filterSpecifier: { case: 'logTypeFilter', value: { types: [AccessLogType.TcpConnectionEnd] } },
});
const failedEnd = create(AccessLogFilterSchema, {
  filterSpecifier: { case: 'andFilter', value: { filters: [connectionEnd, anyFlag] } },
});

export function accessLogs(chain: FilterChainPlan): readonly AccessLog[] {
  const plan = read(chain, accessLogSlot);
  if (!plan) return [];
  const http = chain.network.type === 'http';
  let filter: AccessLogFilter | undefined;
  if (plan.errorsOnly) filter = http ? failed : failedEnd;
  else if (!http) filter = connectionEnd;
  return [
    create(AccessLogSchema, {
      name: 'envoy.access_loggers.file',
      ...(filter ? { filter } : {}),
      configType: {
        case: 'typedConfig',
        value: pack(FileAccessLogSchema, {
          path: plan.path,
          accessLogFormat: {
            case: 'logFormat',
            value: {
              format:
                plan.format.type === 'text'
                  ? {
                      case: 'textFormatSource',
                      value: { specifier: { case: 'inlineString', value: plan.format.text } },
                    }
                  : { case: 'jsonFormat', value: { ...plan.format.fields } },
            },
          },
        }),
      },
    }),
  ];
}
