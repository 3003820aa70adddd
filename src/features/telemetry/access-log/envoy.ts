import { create } from '@bufbuild/protobuf';
import {
  type AccessLog,
  type AccessLogFilter,
  AccessLogSchema,
} from '../../../../gen/proto/envoy/config/accesslog/v3/accesslog_pb.js';
import type { Listener } from '../../../../gen/proto/envoy/config/listener/v3/listener_pb.js';
import { FileAccessLogSchema } from '../../../../gen/proto/envoy/extensions/access_loggers/file/v3/file_pb.js';
import { pack } from '../../../envoy/pack.ts';
import type { FilterChainPlan, ListenerPlan } from '../../../plan/listener-plan.ts';
import { read } from '../../../plan/slot.ts';
import { connectionFields, httpFields, tcpFields } from './call-log.ts';
import { brokenConnections, connectionEnd, recordedConnections, recordedRequests } from './filters.ts';
import { type AccessLogPlan, accessLogSlot } from './schema.ts';

type Format = NonNullable<AccessLogPlan['file']>['format'];

function fileLog(path: string, format: Format, filter: AccessLogFilter | undefined): AccessLog {
  return create(AccessLogSchema, {
    name: 'envoy.access_loggers.file',
    ...(filter ? { filter } : {}),
    configType: {
      case: 'typedConfig',
      value: pack(FileAccessLogSchema, {
        path,
        accessLogFormat: {
          case: 'logFormat',
          value: {
            format:
              format.type === 'text'
                ? {
                    case: 'textFormatSource',
                    value: { specifier: { case: 'inlineString', value: format.text } },
                  }
                : { case: 'jsonFormat', value: { ...format.fields } },
          },
        },
      }),
    },
  });
}

function record(fields: Readonly<Record<string, string>>, filter: AccessLogFilter): AccessLog {
  return fileLog('/dev/stdout', { type: 'json', fields }, filter);
}

export function accessLogs(chain: FilterChainPlan): readonly AccessLog[] {
  const plan = read(chain, accessLogSlot);
  if (!plan) return [];
  const http = chain.network.type === 'http';
  const { file, shadowResults } = plan;
  const side = chain.direction === 'outbound' ? 'outbound' : 'inbound';
  return [
    ...(file ? [fileLog(file.path, file.format, http ? undefined : connectionEnd)] : []),
    http
      ? record(httpFields[side], recordedRequests(shadowResults))
      : record(tcpFields[side], recordedConnections(shadowResults)),
  ];
}

const broken = record(connectionFields, brokenConnections);

/** Who comes in and reaches no chain is in no chain's log. */
export function listenerLog(plan: ListenerPlan, message: Listener): void {
  const takesCallers = plan.chains.some(({ direction }) => direction !== 'outbound');
  if (takesCallers && plan.udpCluster === undefined && !plan.quic) message.accessLog.push(broken);
}
