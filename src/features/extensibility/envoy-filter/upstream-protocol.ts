import { clone, fromBinary, toBinary } from '@bufbuild/protobuf';
import { AnySchema } from '@bufbuild/protobuf/wkt';
import type { Cluster } from '../../../../gen/proto/envoy/config/cluster/v3/cluster_pb.js';
import type { TransportSocket } from '../../../../gen/proto/envoy/config/core/v3/base_pb.js';
import { UpstreamTlsContextSchema } from '../../../../gen/proto/envoy/extensions/transport_sockets/tls/v3/tls_pb.js';
import { HttpProtocolOptionsSchema } from '../../../../gen/proto/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.js';
import { typeNameOf } from '../../../config/envoy-value/envoy-types.ts';

const httpOptions = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

/** What a cluster speaks whatever the client does; undefined: that is open. */
export function explicitProtocol(cluster: Cluster): 'h2' | 'http/1.1' | undefined {
  const options = cluster.typedExtensionProtocolOptions[httpOptions];
  if (!options || typeNameOf(options.typeUrl) !== HttpProtocolOptionsSchema.typeName) return undefined;
  const choice = fromBinary(HttpProtocolOptionsSchema, options.value).upstreamProtocolOptions;
  if (choice.case !== 'explicitHttpConfig') return undefined;
  const { case: protocol } = choice.value.protocolConfig;
  if (protocol === 'http2ProtocolOptions') return 'h2';
  return protocol === 'httpProtocolOptions' ? 'http/1.1' : undefined;
}

/**
 * A patch that makes a cluster speak another HTTP (preserved header case needs HTTP/1.1) rarely thinks of TLS, by which sidecars agree on
 * the version: what is offered there follows.
 */
export function offerProtocol(cluster: Cluster, protocol: 'h2' | 'http/1.1'): void {
  const other = protocol === 'h2' ? 'http/1.1' : 'h2';
  const sockets = [
    cluster.transportSocket,
    ...cluster.transportSocketMatches.map((match) => match.transportSocket),
  ];
  for (const socket of sockets) if (socket) replaceAlpn(socket, other, protocol);
}

function replaceAlpn(socket: TransportSocket, from: string, to: string): void {
  const { configType } = socket;
  if (
    configType.case !== 'typedConfig' ||
    typeNameOf(configType.value.typeUrl) !== UpstreamTlsContextSchema.typeName
  )
    return;
  const context = fromBinary(UpstreamTlsContextSchema, configType.value.value);
  const offered = context.commonTlsContext?.alpnProtocols;
  if (!context.commonTlsContext || !offered?.includes(from)) return;
  context.commonTlsContext.alpnProtocols = [...new Set(offered.map((name) => (name === from ? to : name)))];
  configType.value = {
    ...clone(AnySchema, configType.value),
    value: toBinary(UpstreamTlsContextSchema, context),
  };
}
