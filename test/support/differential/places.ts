import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MeshConfig } from '../../../src/registry/mesh-config.ts';
import { type OpensslAuthority, opensslCertificate } from '../authority.ts';
import { startAuthorizationServers } from '../authorization-servers.ts';
import { type CompiledMesh, startCompiledMesh } from '../compiled-mesh.ts';
import type { TestEnvoy } from '../envoy.ts';
import { freePort, freePorts } from '../ports.ts';
import type { Backend } from '../traffic-arbitrary.ts';
import { authorizerObjects, judge, providers } from './authorizers-arbitrary.ts';
import { captureFilter } from './capture-filter.ts';
import type { Outside } from './captured-arbitrary.ts';
import type { Applications } from './compare.ts';
import { ExplainedMesh } from './explain.ts';
import { logFormat } from './log-lines.ts';
import { type Entry, Starting, servers, spiffe } from './starting.ts';

/** Everything that runs: Envoys of a mesh, and applications behind them. */
export interface Places {
  readonly mesh: CompiledMesh;
  readonly explained: ExplainedMesh;
  readonly envoys: readonly TestEnvoy[];
  readonly entries: ReadonlyMap<string, Entry>;
  /** By `address:port` where servers' proxies listen. */
  readonly sidecars: ReadonlyMap<string, { readonly proxyId: string; readonly identity: string }>;
  readonly backends: readonly Backend[];
  /** Where a server ends TLS itself. */
  readonly tlsPort: number;
  /** Where nobody listens. */
  readonly deadPort: number;
  readonly applications: Applications;
  /** Where applications outside the mesh listen. */
  readonly outside: Outside;
  /** What a client of a gateway shows, where it shows anything. */
  readonly caller: OpensslAuthority;
  readonly logFile: string;
  /** A sidecar that knows nothing yet takes the place of the one that loads what it needs. */
  renewLazy(): Promise<void>;
  stop(): Promise<void>;
}

/** What a client of a gateway proves, where it proves anything. */
export const callerUri = spiffe('outside', 'caller');

export async function startPlaces(): Promise<Places> {
  const directory = await mkdtemp(join(tmpdir(), 'ostria-differential-'));
  const logFile = join(directory, 'access.log');
  const [proxyListenPort = 0, proxyInboundListenPort = 0, http = 0, bytes = 0] = await freePorts(4);
  const settings: Partial<MeshConfig> = {
    proxyListenPort,
    proxyInboundListenPort,
    accessLogFile: logFile,
    accessLogFormat: logFormat,
    outboundTrafficPolicy: 'REGISTRY_ONLY',
    defaultMtlsMode: 'PERMISSIVE',
    extensionProviders: providers,
  };
  const mesh = await startCompiledMesh('', settings);
  const certificate = (name: string, names: readonly string[]) =>
    opensslCertificate({ directory, name, issuer: mesh.authority, ca: false, names });
  const own = certificate('front', ['front.example.com']);
  const authorizers = await startAuthorizationServers(judge);
  const standing = [
    JSON.stringify(captureFilter),
    frontSecret(own, mesh.authority),
    ...authorizerObjects(authorizers.httpPort, authorizers.grpcPort).map((object) => JSON.stringify(object)),
  ];
  mesh.apply(standing.join('\n---\n'));
  const started = new Starting(mesh, own);
  const tlsPort = await started.tlsEcho();
  await started.client();
  await started.lazyClient();
  const outside: Outside = { http, bytes, https: tlsPort };
  await started.capturedClient(proxyListenPort, outside);
  await started.gateway();
  await started.backend('v1');
  await started.backend('v2');
  for (const server of servers) await started.server(server);
  return {
    mesh,
    explained: new ExplainedMesh(settings, started.workloads, standing),
    ...started,
    tlsPort,
    outside,
    applications: started.applications,
    deadPort: await freePort(),
    caller: certificate('caller', [callerUri]),
    logFile,
    renewLazy: () => started.renewLazy(),
    async stop() {
      await mesh.stop();
      for (const echo of [...started.echoes, authorizers]) echo.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

const base64 = (text: string) => Buffer.from(text).toString('base64');

/** The gateways' certificate, and whose certificates they take. */
function frontSecret({ certificate, key }: OpensslAuthority, authority: OpensslAuthority): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'front', namespace: 'istio-system' },
    data: {
      'tls.crt': base64(certificate),
      'tls.key': base64(key),
      'ca.crt': base64(authority.certificate),
    },
  });
}
