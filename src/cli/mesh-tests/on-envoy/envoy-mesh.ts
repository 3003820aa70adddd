import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findEnvoy } from '../../../agent/envoy-binary.ts';
import { type CertificateAuthority, createAuthority, createSelfSigned } from '../../../ca/authority.ts';
import { identityOf } from '../../../explain/hop.ts';
import type { Question } from '../../../explain/question.ts';
import { systemClock } from '../../../kit/clock.ts';
import { CodedError, messageOf } from '../../../kit/coded-error.ts';
import { pooled } from '../../../kit/pooled.ts';
import { silentLog } from '../../../kit/silent-log.ts';
import type { Model } from '../../../model/model.ts';
import type { Journey } from '../../../request-space/journey.ts';
import { createLedger } from '../../../xds/ledger.ts';
import { createXdsServer } from '../../../xds/server.ts';
import { type ModelSource, modelOf } from '../../explain/model-source.ts';
import { type Application, type Arrived, startApplication } from './application.ts';
import { withTestRoot } from './client-trust.ts';
import { departures } from './departures.ts';
import { allocate, type Involved, proxiesAmong } from './involved.ts';
import { issuePair } from './key-pair.ts';
import { meshSource } from './mesh-source.ts';
import type { Answer } from './observe.ts';
import { startRunningProxies } from './running-proxies.ts';
import { sendRequest } from './send-request.ts';
import { createTestTokens } from './test-tokens.ts';

/** Workloads of a model with real Envoys beside them, on loopback ports of this machine. */
export interface EnvoyMesh {
  readonly version: string;
  readonly proxies: number;
  /** Sends the request of a question, whose journey was predicted, through its caller's proxy, `count` times. */
  send(question: Question, journey: Journey, count: number): Promise<Answer[]>;
  /** Updates that Envoys refused. */
  readonly refusals: readonly string[];
  stop(): Promise<void>;
}

/** Of one question at a time. */
const sentAtOnce = 16;
/** After this no further requests of a question begin: a fault that delays each would take for ever. */
const samplingMs = 15_000;

/** Starts everything; what was started is ended again where something fails, or `signal` is aborted. */
export async function startEnvoyMesh(
  model: Model,
  source: ModelSource,
  involved: Involved,
  signal: AbortSignal,
  log: (line: string) => void,
): Promise<EnvoyMesh> {
  const stops: (() => Promise<unknown>)[] = [];
  const stop = async (): Promise<void> => {
    // What cannot be ended must not keep the others.
    for (const one of stops.splice(0).reverse()) await one().catch((error) => log(messageOf(error)));
  };
  try {
    return await start(model, source, involved, { signal, log, stops, stop });
  } catch (error) {
    await stop();
    throw error;
  }
}

interface Starting {
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
  readonly stops: (() => Promise<unknown>)[];
  readonly stop: () => Promise<void>;
}

async function start(
  model: Model,
  source: ModelSource,
  involved: Involved,
  { signal, log, stops, stop }: Starting,
): Promise<EnvoyMesh> {
  const envoy = await findEnvoy({ log });
  const directory = await mkdtemp(join(tmpdir(), 'ostria-test-'));
  stops.push(() => rm(directory, { recursive: true, force: true }));
  const { trustDomain } = model.mesh;
  const authority = await createAuthority(await createSelfSigned({ organization: trustDomain }));
  const arrivals = new Map<string, Arrived>();
  const applications = await startApplications(model, involved, authority, arrivals, stops);
  const { captures, places } = await allocate(model, involved, applications);
  const tokens = createTestTokens();
  const captured = modelOf({
    ...source,
    objects: withTestRoot(tokens.accepted(source.objects), authority.root),
    options: { ...source.options, captures: new Map([...(source.options.captures ?? []), ...captures]) },
  });
  const nowhere = await startNowhere();
  stops.push(() => nowhere.close());
  const token = randomBytes(24).toString('base64url');
  const ledger = createLedger();
  const refusals: string[] = [];
  ledger.onRejected((event) => refusals.push(JSON.stringify(event)));
  const xds = createXdsServer({
    source: meshSource(captured, places, nowhere.port),
    ledger,
    // Whoever else is on this machine has no business with the keys of its gateways.
    authenticate: ({ bearerToken }) =>
      bearerToken === token
        ? { ok: true, identity: undefined }
        : { ok: false, error: 'this is the control plane of a test: its token is missing' },
    listeners: [{ name: 'plaintext', host: '127.0.0.1', port: 0 }],
    log: silentLog,
  });
  await xds.start();
  stops.push(() => xds.stop(0));
  const running = await startRunningProxies(
    [...involved.keys()].flatMap((key) => {
      const at = captured.workloads.get(key);
      return at?.proxy ? [{ key, proxy: at.proxy, identity: identityOf(trustDomain, at) }] : [];
    }),
    { signal, envoy, directory, authority, xds: { port: [...xds.ports.values()][0] ?? 0, token }, log },
    stops,
  );
  return {
    version: envoy.version,
    proxies: proxiesAmong(model, involved.keys()),
    refusals,
    async send(question, journey, count) {
      const departing = departures(captured, question, journey, places);
      if (departing.length === 0)
        throw new CodedError('RequestNotSent', `nothing takes ${question.url} from ${question.from}`);
      const {
        sidecar,
        identity,
        workloads,
        message: bare,
        ...way
      } = departing[0] as (typeof departing)[number];
      if (sidecar !== undefined && identity !== undefined) await running.become(sidecar, identity);
      const message = question.claims ? tokens.carry(captured, workloads, bare, question.claims) : bare;
      const pair =
        sidecar === undefined && identity !== undefined ? await issuePair(authority, identity) : undefined;
      const until = systemClock.now() + samplingMs;
      arrivals.clear();
      const answers = await pooled(Array.from({ length: count }), sentAtOnce, async (_, index) => {
        if (signal.aborted || (index > 0 && systemClock.now() > until)) return undefined;
        const port = departing[index % departing.length]?.port ?? way.port;
        const reply = await sendRequest({ ...way, port, message, ...(pair ? { pair } : {}) });
        const arrived = arrivals.get(reply.arrival ?? '');
        return { ...reply, ...(arrived ? { arrived } : {}) };
      });
      return answers.filter((one) => one !== undefined);
    },
    stop,
  };
}

async function startApplications(
  { mesh, workloads }: Model,
  involved: Involved,
  authority: CertificateAuthority,
  arrivals: Map<string, Arrived>,
  stops: (() => Promise<unknown>)[],
): Promise<Map<string, Application>> {
  const applications = new Map<string, Application>();
  for (const key of involved.keys()) {
    const at = workloads.get(key);
    if (!at) continue;
    const pair = await issuePair(authority, identityOf(mesh.trustDomain, at));
    const application = await startApplication(key, pair, (id, request) => arrivals.set(id, request));
    applications.set(key, application);
    stops.push(() => application.close());
  }
  return applications;
}

/** Where everything leads that has no place in the test: it takes connections and ends them. */
async function startNowhere(): Promise<{ port: number; close(): Promise<void> }> {
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
