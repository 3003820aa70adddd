import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import { createSecureServer, type ServerHttp2Session } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  create,
  createRegistry,
  type DescMessage,
  fromBinary,
  fromJson,
  type JsonValue,
  toBinary,
} from '@bufbuild/protobuf';
import { ClusterSchema } from '../../gen/proto/envoy/config/cluster/v3/cluster_pb.js';
import { ListenerSchema } from '../../gen/proto/envoy/config/listener/v3/listener_pb.js';
import { ConfigSchema as StatsLoggerSchema } from '../../gen/proto/envoy/extensions/access_loggers/stats/v3/stats_pb.js';
import { RouterSchema } from '../../gen/proto/envoy/extensions/filters/http/router/v3/router_pb.js';
import { HttpConnectionManagerSchema } from '../../gen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import {
  DownstreamTlsContextSchema,
  UpstreamTlsContextSchema,
} from '../../gen/proto/envoy/extensions/transport_sockets/tls/v3/tls_pb.js';
import { HttpProtocolOptionsSchema } from '../../gen/proto/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.js';
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
} from '../../gen/proto/envoy/service/discovery/v3/discovery_pb.js';
import { certificateAuthenticator, joinTokenAuthenticator } from '../../src/ca/authenticate.ts';
import { type CertificateAuthority, createAuthority, createSelfSigned } from '../../src/ca/authority.ts';
import { serveCertificates } from '../../src/ca/certificate-server.ts';
import { type CertificateEvent, createCertificateService } from '../../src/ca/certificate-service.ts';
import { type JoinTokens, openJoinTokens } from '../../src/ca/join-token.ts';
import { issueWithNewKey } from '../../src/ca/server-certificate.ts';
import { type GrpcServerStream, grpcStatus, refuseGrpc, serveStream } from '../../src/kit/grpc-http2.ts';

/*
 * A control plane that serves what a test scripts: our real authority, and a delta ADS stream with fixed clusters and listeners per
 * workload. It compiles nothing.
 */

export const SERVER_NAME = 'istiod.istio-system.svc';
const ADS = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources';
const CLUSTER = 'type.googleapis.com/envoy.config.cluster.v3.Cluster';
const LISTENER = 'type.googleapis.com/envoy.config.listener.v3.Listener';

const registry = createRegistry(
  HttpConnectionManagerSchema,
  RouterSchema,
  DownstreamTlsContextSchema,
  UpstreamTlsContextSchema,
  HttpProtocolOptionsSchema,
  StatsLoggerSchema,
);

export interface ScriptedResources {
  clusters: JsonValue[];
  listeners: JsonValue[];
}

export interface FakeControlPlane {
  port: number;
  readonly directory: string;
  readonly rootFile: string;
  readonly authority: CertificateAuthority;
  readonly tokens: JoinTokens;
  readonly events: CertificateEvent[];
  /** What NACKs said. */
  readonly rejections: string[];
  /** Sets what the workload of that name gets, and pushes it. Resolves when it has answered; at once if it is not connected. */
  script(workload: string, resources: ScriptedResources): Promise<void>;
  /** Writes a fresh join token and returns its file. */
  joinToken(serviceAccount: string): string;
  /** Ends all connections and refuses new ones until `resume`. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  close(): Promise<void>;
}

export async function startFakeControlPlane(): Promise<FakeControlPlane> {
  const directory = mkdtempSync(join(tmpdir(), 'ostria-cp-'));
  const material = await createSelfSigned();
  const authority = await createAuthority(material);
  const tokens = openJoinTokens({ directory: join(directory, 'tokens') });
  const events: CertificateEvent[] = [];
  const rejections: string[] = [];
  const scripts = new Map<string, ScriptedResources>();
  const streams = new Set<ScriptedStream>();
  const service = createCertificateService({
    authority,
    authenticators: [
      joinTokenAuthenticator(tokens),
      certificateAuthenticator({ trustDomains: ['cluster.local'] }),
    ],
    audit: (event) => events.push(event),
  });
  const own = await issueWithNewKey(authority, { dnsNames: [SERVER_NAME] });
  const rootFile = join(directory, 'root-cert.pem');
  writeFileSync(rootFile, authority.root);

  const listen = async (port: number) => {
    const sessions = new Set<ServerHttp2Session>();
    const server = createSecureServer({
      key: own.key,
      cert: own.certificateChain,
      ca: authority.root,
      requestCert: true,
      rejectUnauthorized: false,
    });
    server.on('session', (session) => {
      sessions.add(session);
      session.on('error', () => {});
      session.on('close', () => sessions.delete(session));
    });
    server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
      if (serveCertificates(service, stream, headers)) return;
      if (headers[':path'] !== ADS) return refuseGrpc(stream, grpcStatus.unimplemented, 'not scripted');
      serveStream(stream, (call) => serveAds(call, scripts, streams, rejections), {
        maxMessageBytes: 4 << 20,
      });
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, '127.0.0.1', resolve);
    });
    const address = server.address();
    return {
      port: typeof address === 'object' && address ? address.port : 0,
      close: () =>
        new Promise<void>((resolve) => {
          for (const session of sessions) session.destroy();
          server.close(() => resolve());
        }),
    };
  };

  let current = await listen(0);
  let count = 0;
  return {
    port: current.port,
    directory,
    rootFile,
    authority,
    tokens,
    events,
    rejections,
    async script(workload, resources) {
      scripts.set(workload, resources);
      await Promise.all([...streams].map((stream) => stream.workload === workload && stream.push()));
    },
    joinToken(serviceAccount) {
      const { token } = tokens.mint({ trustDomain: 'cluster.local', namespace: 'default', serviceAccount });
      const file = join(directory, `token-${count++}`);
      writeFileSync(file, token, { mode: 0o600 });
      return file;
    },
    pause: () => current.close(),
    async resume() {
      current = await listen(current.port);
    },
    async close() {
      await current.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

interface ScriptedStream {
  workload: string;
  /** Resolves when everything that was sent is answered, or the stream is gone. */
  push(): Promise<unknown>;
}

function serveAds(
  call: GrpcServerStream,
  scripts: Map<string, ScriptedResources>,
  streams: Set<ScriptedStream>,
  rejections: string[],
) {
  const types = new Set<string>();
  /** By nonce. */
  const unanswered = new Map<string, { readonly answer: Promise<void>; readonly resolve: () => void }>();
  let nonce = 0;
  const send = (typeUrl: string) => {
    const script = scripts.get(stream.workload);
    if (!script || !types.has(typeUrl)) return;
    const [schema, list]: [DescMessage, JsonValue[]] =
      typeUrl === CLUSTER ? [ClusterSchema, script.clusters] : [ListenerSchema, script.listeners];
    const resources = list.map((json) => {
      const { name } = json as { name: string };
      const value = toBinary(schema, fromJson(schema, json, { registry }));
      return { name, version: String(nonce + 1), resource: { typeUrl, value } };
    });
    const response = create(DeltaDiscoveryResponseSchema, { typeUrl, nonce: String(++nonce), resources });
    const { promise, resolve } = Promise.withResolvers<void>();
    unanswered.set(response.nonce, { answer: promise, resolve });
    call.send(toBinary(DeltaDiscoveryResponseSchema, response));
  };
  const stream: ScriptedStream = {
    workload: '',
    push() {
      send(CLUSTER);
      send(LISTENER);
      return Promise.all([...unanswered.values()].map(({ answer }) => answer));
    },
  };
  streams.add(stream);
  return {
    onMessage(bytes: Uint8Array) {
      const request = fromBinary(DeltaDiscoveryRequestSchema, bytes);
      if (request.node) stream.workload = request.node.id.split('~')[2]?.split('.')[0] ?? '';
      if (request.errorDetail) rejections.push(request.errorDetail.message);
      unanswered.get(request.responseNonce)?.resolve();
      unanswered.delete(request.responseNonce);
      const first = request.responseNonce === '' && !types.has(request.typeUrl);
      if (!first || (request.typeUrl !== CLUSTER && request.typeUrl !== LISTENER)) return;
      types.add(request.typeUrl);
      send(request.typeUrl);
    },
    onClose: () => {
      streams.delete(stream);
      for (const { resolve } of unanswered.values()) resolve();
    },
  };
}
