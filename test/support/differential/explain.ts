import type { ConfigObject } from '../../../src/config/object.ts';
import { originId } from '../../../src/config/origin.ts';
import { parseYamlDocuments } from '../../../src/config/yaml-documents.ts';
import { explain } from '../../../src/explain/explain.ts';
import type { Destination, Explanation } from '../../../src/explain/explanation.ts';
import type { Question } from '../../../src/explain/question.ts';
import { verifySignature } from '../../../src/kit/verify-signature.ts';
import { createModel, type Model } from '../../../src/model/model.ts';
import { idOf } from '../../../src/model/model-objects.ts';
import { roots } from '../../../src/pipeline/roots.ts';
import { defaultMeshConfig, type MeshConfig } from '../../../src/registry/mesh-config.ts';
import { policyOrigin } from '../../../src/simulate/policy-names.ts';
import { makeProxy, type ProxySpec } from '../../golden/mesh.ts';
import type { TrafficRequest } from '../traffic-arbitrary.ts';
import { verdictsOn } from './authorizers-arbitrary.ts';
import type { Observed } from './compare.ts';

/** How a request is put as a question. */
export interface Asking {
  /** `namespace/name`. */
  readonly from: string;
  /** Host and port of the URL; undefined: no URL says it. */
  readonly authority: (request: TrafficRequest) => string | undefined;
  /** The identity of the client's certificate, where it shows one. */
  readonly as?: string;
  /** The proxy that it comes to is the server's own. */
  readonly atServer?: boolean;
}

export interface ExplainedWorkload {
  /** A proxy and its capture; without type and metadata: a workload without proxy. */
  readonly spec: ProxySpec;
  readonly serviceAccount: string;
  readonly address: string;
  readonly hasProxy: boolean;
}

/** The mesh of a differential test as `explain` knows a running one: its objects and its proxies. */
export class ExplainedMesh {
  /** One of each make, asked in turns. */
  #models: readonly Model[];
  #asked = 0;
  #present = new Map<string, ConfigObject>();

  constructor(
    settings: Partial<MeshConfig>,
    workloads: readonly ExplainedWorkload[],
    others: readonly string[],
  ) {
    const objects = [
      ...workloads.map((one) => ({ object: podOf(one) })),
      ...others.flatMap((text) => parseYamlDocuments(text, 'others.yaml').objects),
    ];
    this.#models = [false, true].map((onDemand) =>
      createModel(objects, {
        roots: roots.collections,
        mesh: { ...defaultMeshConfig, ...settings },
        proxies: workloads.filter(({ hasProxy }) => hasProxy).map(({ spec }) => makeProxy(spec)),
        fill: false,
        onDemand,
      }),
    );
  }

  use(config: readonly ConfigObject[]): void {
    const next = new Map(config.map((object) => [idOf(object), object]));
    const change = {
      objects: [...next.values()].map((object) => ({ object })),
      remove: [...this.#present.keys()].filter((id) => !next.has(id)),
    };
    this.#models = this.#models.map((model) => model.update(change));
    this.#present = next;
  }

  /** `tls`: the client of HTTP speaks it within TLS. */
  explain(request: TrafficRequest, tls: boolean, { from, authority, as }: Asking): Explanation | undefined {
    const { speaks, method, path, headers, host } = request;
    const called = authority(request);
    if (called === undefined) return undefined;
    const isOpaque = speaks === 'tcp' || speaks === 'tls';
    const scheme = isOpaque ? speaks : `${speaks === 'http2' ? 'grpc' : 'http'}${tls ? 's' : ''}`;
    const question: Question = {
      from,
      url: `${scheme}://${called}${isOpaque ? '' : path}`,
      ...(isOpaque ? {} : { method, headers: { ...headers, host } }),
      address: '127.0.0.1',
      ...(as === undefined ? {} : { as }),
    };
    const model = this.#models[this.#asked++ % this.#models.length] as Model;
    const answer = explain(model, question, {
      now: Date.now(),
      verify: verifySignature,
      verdicts: verdictsOn(request),
    });
    if (!answer.ok) throw new Error(`${JSON.stringify(question)}: ${answer.error.message}`);
    return answer.explanation;
  }
}

function podOf({ spec, serviceAccount, address }: ExplainedWorkload): ConfigObject {
  const { name = '', namespace = '' } = spec;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace },
    spec: { serviceAccountName: serviceAccount, containers: [] },
    status: { phase: 'Running', podIP: address, conditions: [{ type: 'Ready', status: 'True' }] },
  };
}

/** What an explanation says otherwise than Envoys did, in words. Of a lottery, it is enough that one of its destinations is what was seen. */
/**
 * Where a name is the destination, whatever has its port, and nothing where it was not found. `byPort`: whoever answered told no more
 * of itself.
 */
function isReached(address: string, reached: string, byPort: boolean): boolean {
  if (address === reached) return true;
  const isName = /[a-z]/.test(address);
  if (!isName && !byPort) return false;
  const [port] = /:\d+$/.exec(address) ?? [];
  return reached === '' || port === undefined ? isName : reached.endsWith(port);
}

export function explanationDifference(
  { verdict, decisions }: Explanation,
  seen: Observed,
  { atServer = false }: Asking,
  isHttp: boolean,
  /** Whether somebody of the test is there who understands the request; '': nobody is called. */
  isKnown: (socket: string) => boolean,
): string | undefined {
  // A connection is made before the first bytes come, by which policies judge.
  const isRefused = seen.first?.details.startsWith('rbac_') === true;
  // Bytes that somebody gets who expects others: nobody says more of it than that the connection ends.
  if (isHttp && seen.status === 0 && !seen.first) return undefined;
  const reached = isRefused
    ? ''
    : seen.first
      ? seen.first.upstream
      : seen.echo
        ? `127.0.0.1:${seen.echo.port}`
        : '';
  const possible = atServer
    ? verdict.destinations
    : verdict.destinations.filter(({ address = '' }) => isReached(address, reached, !seen.first));
  if (possible.length === 0)
    return `explain: destination: predicted ${verdict.destinations.map(textOf).join(' or ') || 'none'}, real ${reached || 'none'} (${seen.status})`;
  // What nobody knows of is not in any configuration: who listens there, or that nobody does.
  if (!isKnown(reached) || possible.some(({ outcome }) => outcome === 'unknown')) return undefined;
  const whys = possible.map((one) => endDifference(one, seen));
  if (!whys.includes(undefined)) return whys[0];
  if (seen.location !== '' && !verdict.summary.includes(`go to ${seen.location}`))
    return `explain: location: real ${seen.location}, said ${verdict.summary}`;
  if (atServer || !seen.first) return undefined;
  const route = decisions.find(({ stage, at, by }) => stage === 'route' && at.role !== 'server' && by)?.by;
  const origin = route ? originId(route) : '';
  return origin === seen.first.origin
    ? undefined
    : `explain: route: predicted ${origin}, real ${seen.first.origin}`;
}

function textOf({ address = '', workload = '', cluster, outcome, status = 0 }: Destination): string {
  return `${address} ${workload} ${cluster} ${outcome} ${status}`;
}

const isRefused = (line: Observed['first']): boolean => line?.details.startsWith('rbac_') === true;

/** Whose authorizers refuse, by Envoy's words. */
const askers: Readonly<Record<string, readonly string[]>> = {
  ext_authz_denied: ['HTTPRoute', 'AuthorizationPolicy'],
};

function endDifference(destination: Destination, seen: Observed): string | undefined {
  const { outcome, status = outcome === 'delivered' ? 200 : 0, by } = destination;
  if (status !== seen.status)
    return `explain: status: predicted ${status} (${textOf(destination)}), real ${seen.status}`;
  const details = (isRefused(seen.first) ? seen.first : (seen.second ?? seen.first))?.details ?? '';
  const kind = by?.kind;
  if (details.startsWith('jwt_'))
    return outcome === 'denied' && kind === 'RequestAuthentication'
      ? undefined
      : `explain: ${outcome} by ${kind}, real ${details}`;
  const rule = /^rbac_access_denied_matched_policy\[(.*)\]$/.exec(details)?.[1];
  if (rule === undefined) {
    // A connection that is refused leaves no line of whoever refused it.
    const isReset = seen.status === 0 || details.startsWith('upstream_reset_before_response_started');
    const refuser = isReset ? ['PeerAuthentication', 'MeshConfig'] : askers[details];
    return outcome === 'denied' && seen.status !== 0 && !refuser?.includes(kind ?? '')
      ? `explain: denied by ${kind}, real ${details}`
      : undefined;
  }
  const origin = policyOrigin(rule);
  const agrees = origin
    ? by !== undefined && originId(by) === originId(origin)
    : kind === 'AuthorizationPolicy' && by?.path === '';
  return outcome === 'denied' && agrees
    ? undefined
    : `explain: ${outcome} by ${by && originId(by)}, real ${details}`;
}
