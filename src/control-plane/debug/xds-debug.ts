import { create, toBinary } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { ClientConfigSchema, ConfigStatus } from '../../../gen/proto/envoy/service/status/v3/csds_pb.js';
import { GrpcError, grpcStatus } from '../../kit/grpc-http2.ts';
import type { ProxyIdentity } from '../../xds/authenticate.ts';
import type { DebugResource, DebugService } from '../../xds/debug-stream.ts';
import type { SyncState, TypeStatus } from '../../xds/ledger.ts';
import { configDump } from './config-dump.ts';
import { type ConnectedProxy, findProxy, istioVersionOf, visibleProxies } from './connected-proxies.ts';
import type { DebugParts } from './create-pages.ts';
import { DebugError, type DebugPages, findPage, scopeOf } from './debug-page.ts';

const debugType = 'istio.io/debug';
const clientConfigType = 'type.googleapis.com/envoy.service.status.v3.ClientConfig';

/** Answers Istio's debug types, each caller what its namespace may see. */
export function xdsDebug(options: {
  readonly parts: DebugParts;
  readonly pages: DebugPages;
  readonly authenticate: DebugService['authenticate'];
  readonly controlPlane: string;
}): DebugService {
  const { parts, pages, authenticate, controlPlane } = options;
  return {
    authenticate,
    controlPlane,
    async answer(typeUrl, names, identity) {
      const scope = scopeOf(identity.namespace, parts.mesh().rootNamespace);
      switch (typeUrl) {
        case `${debugType}/syncz`:
          return visibleProxies(parts.proxies, scope).map(clientConfig);
        case `${debugType}/config_dump`: {
          const [name] = names;
          if (names.length !== 1 || name === undefined)
            throw new GrpcError(
              grpcStatus.invalidArgument,
              'name the one proxy whose configuration is wanted',
            );
          const found = findProxy(parts.proxies, name, scope);
          if (!found) return [];
          return configDump((type) => parts.resources(found.proxy.id, type), {
            version: String(parts.revision()),
            istio: true,
          }).map((any) => ({ name, typeUrl: any.typeUrl, value: any.value }));
        }
        case debugType:
          return [await pageAnswer(names, identity)];
        default:
          throw new GrpcError(
            grpcStatus.invalidArgument,
            `there is no debug type ${typeUrl}; there are ${debugType}, ${debugType}/syncz and ${debugType}/config_dump`,
          );
      }
    },
  };

  async function pageAnswer(names: readonly string[], identity: ProxyIdentity): Promise<DebugResource> {
    const [name] = names;
    if (names.length !== 1 || name === undefined)
      throw new GrpcError(grpcStatus.invalidArgument, 'name exactly one debug page');
    const [page = '', query = ''] = name.split(/\?(.*)/s);
    const scope = scopeOf(identity.namespace, parts.mesh().rootNamespace);
    try {
      const value = await findPage(pages, page, scope).answer(new URLSearchParams(query), scope);
      return resource(name, typeof value === 'string' ? value : JSON.stringify(value));
    } catch (error) {
      if (!(error instanceof DebugError)) throw error;
      if (error.status === 403) throw new GrpcError(grpcStatus.permissionDenied, error.message);
      // Clients read the words out of the answer.
      return resource(name, error.message);
    }
  }
}

function resource(name: string, text: string): DebugResource {
  return { name, typeUrl: debugType, value: Buffer.from(text) };
}

const states: Readonly<Record<SyncState, ConfigStatus>> = {
  SYNCED: ConfigStatus.SYNCED,
  STALE: ConfigStatus.STALE,
  NACKED: ConfigStatus.ERROR,
  'NOT SENT': ConfigStatus.NOT_SENT,
};

function clientConfig({ proxy, status }: ConnectedProxy): DebugResource {
  const message = create(ClientConfigSchema, {
    node: {
      id: proxy.id,
      metadata: {
        CLUSTER_ID: proxy.clusterId,
        NAMESPACE: proxy.namespace,
        ISTIO_VERSION: istioVersionOf(proxy),
      },
    },
    genericXdsConfigs: status.types
      .map(genericConfig)
      .sort((a, b) => (a.typeUrl < b.typeUrl ? -1 : a.typeUrl > b.typeUrl ? 1 : 0)),
  });
  return { name: proxy.id, typeUrl: clientConfigType, value: toBinary(ClientConfigSchema, message) };
}

function genericConfig({ typeUrl, state, sent, rejected }: TypeStatus) {
  const [first] = rejected;
  const at = sent ? { lastUpdated: timestampFromMs(sent.at) } : {};
  return {
    typeUrl,
    configStatus: states[state],
    ...at,
    ...(first
      ? {
          errorState: {
            details: first.message,
            ...(sent ? { lastUpdateAttempt: timestampFromMs(sent.at) } : {}),
          },
        }
      : {}),
  };
}
