import { create, fromBinary } from '@bufbuild/protobuf';
import type { Cluster } from '../../../../gen/proto/envoy/config/cluster/v3/cluster_pb.js';
import { TypedExtensionConfigSchema } from '../../../../gen/proto/envoy/config/core/v3/extension_pb.js';
import {
  HttpProtocolOptionsSchema as CommonOptionsSchema,
  Http1ProtocolOptions_HeaderKeyFormatSchema,
  Http1ProtocolOptionsSchema,
  Http2ProtocolOptionsSchema,
  HttpProtocolOptions_HeadersWithUnderscoresAction as Underscores,
} from '../../../../gen/proto/envoy/config/core/v3/protocol_pb.js';
import type { Listener } from '../../../../gen/proto/envoy/config/listener/v3/listener_pb.js';
import type { Route } from '../../../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import {
  HttpConnectionManager_PathWithEscapedSlashesAction as EscapedSlashes,
  HttpConnectionManager_ForwardClientCertDetails as ForwardClientCert,
  type HttpConnectionManager,
  HttpConnectionManager_SetCurrentClientCertDetailsSchema,
  HttpConnectionManager_ServerHeaderTransformation as ServerHeader,
} from '../../../../gen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { PreserveCaseFormatterConfigSchema } from '../../../../gen/proto/envoy/extensions/http/header_formatters/preserve_case/v3/preserve_case_pb.js';
import { HttpProtocolOptionsSchema } from '../../../../gen/proto/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.js';
import { setRouter } from '../../../envoy/http-connection-manager.ts';
import { duration, pack } from '../../../envoy/pack.ts';
import type { ClusterPlan } from '../../../plan/cluster-plan.ts';
import { parseDuration } from '../../../plan/duration.ts';
import type { FilterChainPlan, ListenerPlan } from '../../../plan/listener-plan.ts';
import type { RoutePlan } from '../../../plan/route-plan.ts';
import { read } from '../../../plan/slot.ts';
import { bufferLimitSlot, connectionSlot, forwardedHostSlot, headerCaseSlot } from './plan.ts';
import { flag, type Json, object } from './settings.ts';

const httpOptionsKey = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

const preserveCase = create(Http1ProtocolOptions_HeaderKeyFormatSchema, {
  headerFormat: {
    case: 'statefulFormatter',
    value: create(TypedExtensionConfigSchema, {
      name: 'preserve_case',
      typedConfig: pack(PreserveCaseFormatterConfigSchema, {}),
    }),
  },
});

export function setConnectionManager(plan: FilterChainPlan, message: HttpConnectionManager): void {
  const settings = read(plan, connectionSlot);
  if (!settings || plan.network.type !== 'http') return;
  normalise(message, settings.normalization);
  if (settings.headers) setHeaders(plan, message, settings.headers);
  if (settings.connection) setConnection(message, settings.connection);
}

/** Istio's levels; BASE is ours without being asked. */
function normalise(message: HttpConnectionManager, level: string | undefined): void {
  if (level === 'NONE') message.normalizePath = false;
  if (level === 'MERGE_SLASHES' || level === 'DECODE_AND_MERGE_SLASHES') message.mergeSlashes = true;
  if (level === 'DECODE_AND_MERGE_SLASHES')
    message.pathWithEscapedSlashesAction = EscapedSlashes.UNESCAPE_AND_FORWARD;
}

function setHeaders(plan: FilterChainPlan, message: HttpConnectionManager, headers: Json): void {
  const fromOutside = plan.direction !== 'outbound';
  const server = object(headers.server);
  if (server?.disabled === true) message.serverHeaderTransformation = ServerHeader.PASS_THROUGH;
  else if (typeof server?.value === 'string' && server.value !== '' && fromOutside) {
    message.serverName = server.value;
    message.serverHeaderTransformation = ServerHeader.OVERWRITE;
  }
  const id = object(headers.requestId);
  if (id) message.generateRequestId = id.disabled !== true;
  if (flag(headers, 'envoyDebugHeaders', 'disabled')) setRouter(message, { suppressEnvoyHeaders: true });
  if (flag(headers, 'xForwardedPort', 'enabled') && fromOutside) message.appendXForwardedPort = true;
  if (headers.preserveHttp1HeaderCase === true) {
    const options = message.httpProtocolOptions ?? create(Http1ProtocolOptionsSchema);
    options.headerKeyFormat = preserveCase;
    message.httpProtocolOptions = options;
  }
  if (fromOutside) setClientCertificate(message, headers);
}

function setClientCertificate(message: HttpConnectionManager, headers: Json): void {
  const forward = ForwardClientCert[headers.forwardedClientCert as keyof typeof ForwardClientCert];
  if (forward !== undefined && headers.forwardedClientCert !== 'UNDEFINED')
    message.forwardClientCertDetails = forward;
  const details = object(headers.setCurrentClientCertDetails);
  const present = message.setCurrentClientCertDetails;
  if (!details || !present) return;
  message.setCurrentClientCertDetails = create(HttpConnectionManager_SetCurrentClientCertDetailsSchema, {
    subject: flag(details, 'subject') ?? present.subject ?? true,
    cert: flag(details, 'cert') ?? present.cert,
    chain: flag(details, 'chain') ?? present.chain,
    dns: flag(details, 'dns') ?? present.dns,
    uri: flag(details, 'uri') ?? present.uri,
  });
}

const underscores: Readonly<Record<string, Underscores>> = {
  HEADERS_WITH_UNDERSCORES_ALLOW: Underscores.ALLOW,
  HEADERS_WITH_UNDERSCORES_REJECT_REQUEST: Underscores.REJECT_REQUEST,
  HEADERS_WITH_UNDERSCORES_DROP_HEADER: Underscores.DROP_HEADER,
};

const escapedSlashes: Readonly<Record<string, EscapedSlashes>> = {
  KEEP_UNCHANGED: EscapedSlashes.KEEP_UNCHANGED,
  REJECT_REQUEST: EscapedSlashes.REJECT_REQUEST,
  UNESCAPE_AND_REDIRECT: EscapedSlashes.UNESCAPE_AND_REDIRECT,
  UNESCAPE_AND_FORWARD: EscapedSlashes.UNESCAPE_AND_FORWARD,
};

function setConnection(message: HttpConnectionManager, settings: Json): void {
  const time = (name: string) => {
    const ms = typeof settings[name] === 'string' ? parseDuration(settings[name]) : undefined;
    return ms === undefined ? undefined : duration(ms);
  };
  const idle = time('httpIdleTimeout');
  const longest = time('httpMaxConnectionDuration');
  const stream = time('httpMaxStreamDuration');
  const action = underscores[String(settings.httpHeadersWithUnderscoresAction)];
  if (idle || longest || stream || action !== undefined) {
    const common = message.commonHttpProtocolOptions ?? create(CommonOptionsSchema);
    Object.assign(common, {
      ...(idle ? { idleTimeout: idle } : {}),
      ...(longest ? { maxConnectionDuration: longest } : {}),
      ...(stream ? { maxStreamDuration: stream } : {}),
      ...(action === undefined ? {} : { headersWithUnderscoresAction: action }),
    });
    message.commonHttpProtocolOptions = common;
  }
  const times = {
    drainTimeout: time('httpDrainTimeout'),
    requestTimeout: time('httpRequestTimeout'),
    requestHeadersTimeout: time('httpRequestHeadersTimeout'),
    streamIdleTimeout: time('httpStreamIdleTimeout'),
  };
  for (const [name, value] of Object.entries(times)) if (value) Object.assign(message, { [name]: value });
  setHttp2(message, settings);
  if (typeof settings.httpMergeSlashes === 'boolean') message.mergeSlashes = settings.httpMergeSlashes;
  const slashes = escapedSlashes[String(settings.httpPathWithEscapedSlashesAction)];
  if (slashes !== undefined) message.pathWithEscapedSlashesAction = slashes;
}

function setHttp2(message: HttpConnectionManager, settings: Json): void {
  const fields = {
    maxConcurrentStreams: settings.httpMaxConcurrentStreams,
    initialStreamWindowSize: settings.http2InitialStreamWindowSize,
    initialConnectionWindowSize: settings.http2InitialConnectionWindowSize,
  };
  const given = Object.entries(fields).filter(([, value]) => typeof value === 'number');
  if (given.length === 0) return;
  const options = message.http2ProtocolOptions ?? create(Http2ProtocolOptionsSchema);
  message.http2ProtocolOptions = Object.assign(options, Object.fromEntries(given));
}

export function setRoute(plan: RoutePlan, message: Route): void {
  if (read(plan, forwardedHostSlot) && message.action.case === 'route')
    message.action.value.appendXForwardedHost = true;
}

export function setListener(plan: ListenerPlan, message: Listener): void {
  const limit = read(plan, bufferLimitSlot);
  if (limit !== undefined) Object.assign(message, { perConnectionBufferLimitBytes: limit });
}

export function setCluster(plan: ClusterPlan, message: Cluster): void {
  const limit = read(plan, bufferLimitSlot);
  if (limit !== undefined) Object.assign(message, { perConnectionBufferLimitBytes: limit });
  if (read(plan, headerCaseSlot)) preserveUpstreamCase(message);
}

/** HTTP/1.1 alone has header case to preserve. A cluster without options speaks it. */
function preserveUpstreamCase(message: Cluster): void {
  const packed = message.typedExtensionProtocolOptions[httpOptionsKey];
  const options = packed
    ? fromBinary(HttpProtocolOptionsSchema, packed.value)
    : create(HttpProtocolOptionsSchema, {
        upstreamProtocolOptions: {
          case: 'explicitHttpConfig',
          value: { protocolConfig: { case: 'httpProtocolOptions', value: {} } },
        },
      });
  const choice = options.upstreamProtocolOptions;
  const http1 = create(Http1ProtocolOptionsSchema, { headerKeyFormat: preserveCase });
  if (choice.case === 'explicitHttpConfig' && choice.value.protocolConfig.case === 'httpProtocolOptions')
    choice.value.protocolConfig = { case: 'httpProtocolOptions', value: http1 };
  else if (choice.case === 'useDownstreamProtocolConfig') choice.value.httpProtocolOptions = http1;
  else return;
  message.typedExtensionProtocolOptions[httpOptionsKey] = pack(HttpProtocolOptionsSchema, options);
}
