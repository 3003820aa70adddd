import { createHash, randomUUID } from 'node:crypto';
import { setImmediate as immediate } from 'node:timers/promises';
import type { KindRegistry } from '../../config/kind.ts';
import { type ConfigObject, objectKey } from '../../config/object.ts';
import { worldKind } from '../../config/world-kind.ts';
import { CodedError } from '../../kit/coded-error.ts';
import { deepEqual } from '../../kit/deep-equal.ts';
import { forCompile } from '../../model/for-compile.ts';
import type { Engine } from '../../snapshot/engine/engine.ts';
import type { MeshProxy } from '../../snapshot/proxy.ts';
import { type Resource, typeUrls } from '../../snapshot/resource.ts';
import { Trial } from '../../snapshot/trial.ts';
import type { WorldChange } from '../../snapshot/world.ts';
import { createAdmitObject, splitApiVersion } from '../admit-object.ts';
import type { MergedChange } from '../config-merge.ts';
import type { Delivery } from '../delivery/delivery.ts';
import type { Flusher } from '../flusher.ts';
import type { MeshState } from '../mesh-state.ts';
import type { RolloutReport } from './rollout-report.ts';

/**
 * Kinds that can be tried on some proxies: what they say concerns the proxy that reads it alone. Others decide who is there (Service,
 * ServiceEntry, WorkloadEntry …), need both ends to agree (PeerAuthentication), or are acted on outside the compile. The value says what of
 * an object is, if anything.
 */
const triable: ReadonlyMap<string, (object: ConfigObject) => string | undefined> = new Map([
  ['networking.istio.io/VirtualService', nothing],
  ['networking.istio.io/DestinationRule', nothing],
  ['networking.istio.io/Sidecar', nothing],
  ['networking.istio.io/EnvoyFilter', patchesBootstrap],
  ['security.istio.io/AuthorizationPolicy', nothing],
  ['security.istio.io/RequestAuthentication', fetchesKeys],
  ['telemetry.istio.io/Telemetry', nothing],
  ['gateway.networking.k8s.io/HTTPRoute', nothing],
  ['gateway.networking.k8s.io/GRPCRoute', nothing],
]);

function nothing(): undefined {
  return undefined;
}

function patchesBootstrap({ spec }: ConfigObject): string | undefined {
  const { configPatches = [] } = (spec ?? {}) as { configPatches?: readonly { applyTo?: string }[] };
  const at = configPatches.findIndex(({ applyTo }) => applyTo === 'BOOTSTRAP');
  return at < 0
    ? undefined
    : `spec.configPatches[${at}]: an Envoy takes a bootstrap when it starts, not from a trial`;
}

function fetchesKeys({ spec }: ConfigObject): string | undefined {
  const { jwtRules = [] } = (spec ?? {}) as { jwtRules?: readonly { jwks?: string }[] };
  const at = jwtRules.findIndex(({ jwks }) => !jwks);
  return at < 0
    ? undefined
    : `spec.jwtRules[${at}]: keys are fetched for what is stored alone; give them as jwks`;
}

/** Objects of one rollout. */
const mostObjects = 500;
/** A rollout that nobody asks about any longer is ended: whoever began it is gone. */
const defaultLeaseMs = 20_000;

export interface RolloutParts {
  readonly engine: Engine;
  readonly flusher: Flusher;
  readonly state: MeshState;
  readonly delivery: Delivery;
  readonly kinds: KindRegistry;
  /** Whether the mesh has taken a revision of the store. */
  readonly hasTaken: (storeRevision: number) => boolean;
  readonly log: { info(message: string): void; warn(message: string): void };
  readonly leaseMs?: number;
}

/** Objects as they would be stored, and such as would be deleted. */
export interface TriedChange {
  readonly objects?: readonly ConfigObject[];
  readonly removed?: readonly ConfigObject[];
}

interface Rollout {
  readonly id: string;
  readonly changes: readonly WorldChange[];
  /** Proxies that it would alter, in the order in which they take part. */
  concerned: readonly string[];
  members: readonly string[];
  /** Revision of the mesh with which the members got it. */
  revision: number;
  lease: NodeJS.Timeout | undefined;
  ended: string | undefined;
}

/** Tries a change on a share of the proxies that it would alter. Nothing of it is stored: with the process it is gone. */
export class Rollouts {
  readonly #parts: RolloutParts;
  #current: Rollout | undefined;
  #last: Rollout | undefined;

  constructor(parts: RolloutParts) {
    this.#parts = parts;
  }

  /** Begins one. `first`: proxies (`name.namespace`) that take part before others. Throws `RolloutRefused` with what stands against it. */
  async start(change: TriedChange, share: number, first: readonly string[] = []): Promise<RolloutReport> {
    if (this.#current)
      throw refused('another change is being tried on some proxies; wait until that has ended');
    const changes = this.#admit(change);
    const rollout: Rollout = {
      id: randomUUID(),
      changes,
      concerned: [],
      members: [],
      revision: 0,
      lease: undefined,
      ended: undefined,
    };
    this.#current = rollout;
    this.#renew(rollout);
    try {
      rollout.concerned = await this.#findConcerned(rollout, new Set(first));
      await this.#moveTo(rollout, share);
    } catch (error) {
      await this.#finish(rollout, 'it could not be begun');
      throw error;
    }
    if (rollout.concerned.length === 0)
      await this.#finish(rollout, 'it alters nothing of any connected proxy');
    return this.report(rollout.id, 0);
  }

  /** Takes more of the proxies in. */
  async step(id: string, share: number): Promise<RolloutReport> {
    const rollout = this.#find(id);
    if (rollout.ended === undefined) await this.#moveTo(rollout, share);
    return this.report(id, 0);
  }

  /** Tells how far it has come, and that whoever asks still cares. */
  async report(id: string, waitMs: number): Promise<RolloutReport> {
    const rollout = this.#find(id);
    this.#renew(rollout);
    const { revision, members, concerned } = rollout;
    const delivery =
      rollout.ended === undefined
        ? await this.#parts.delivery.reportOf({ first: revision, last: revision, waitMs })
        : undefined;
    return {
      id,
      state: rollout.ended === undefined ? 'trying' : 'ended',
      ...(rollout.ended === undefined ? {} : { why: rollout.ended }),
      concerned: concerned.length,
      members,
      ...(delivery ? { delivery } : {}),
    };
  }

  /** Everybody sees what is in force. `after`: once the mesh has taken this revision of the store, so that nothing goes back and forth. */
  async end(id: string, after: number | undefined): Promise<RolloutReport> {
    const rollout = this.#find(id);
    for (let waits = 0; after !== undefined && !this.#parts.hasTaken(after) && waits < 500; waits++)
      await new Promise((resolve) => setTimeout(resolve, 10));
    await this.#finish(rollout, after === undefined ? 'it was taken back' : 'it is in force for everybody');
    return this.report(id, 0);
  }

  /** Looks at what sources bring: a change of what is tried, by anybody, ends the trial. */
  observe(changes: readonly MergedChange[]): void {
    const rollout = this.#current;
    if (!rollout) return;
    for (const { group, kind, key, object } of changes) {
      const tried = rollout.changes.find((one) => one.kind === worldKind(group, kind) && one.key === key);
      if (!tried || sayTheSame(object, tried.value as ConfigObject | undefined)) continue;
      if (object && sayTheSame(object, this.#parts.engine.world.get({ name: tried.kind }, key))) continue;
      void this.#finish(rollout, `${kind} ${key} was changed by somebody else meanwhile`);
      return;
    }
  }

  close(): void {
    clearTimeout(this.#current?.lease);
  }

  #find(id: string): Rollout {
    for (const rollout of [this.#current, this.#last]) if (rollout?.id === id) return rollout;
    throw refused('there is no such rollout: it has ended, or the control plane was started anew since');
  }

  #renew(rollout: Rollout): void {
    clearTimeout(rollout.lease);
    if (rollout.ended !== undefined) return;
    rollout.lease = setTimeout(() => {
      void this.#finish(rollout, 'nobody asked about it any longer');
    }, this.#parts.leaseMs ?? defaultLeaseMs).unref();
  }

  #admit({ objects = [], removed = [] }: TriedChange): WorldChange[] {
    const count = objects.length + removed.length;
    if (count === 0 || count > mostObjects)
      throw refused(`a rollout has 1 to ${mostObjects} objects, not ${count}`);
    const gone = removed.map((given): WorldChange => {
      const { group } = this.#check(given);
      return { kind: worldKind(group, given.kind), key: objectKey(given), value: undefined };
    });
    const admit = createAdmitObject(this.#parts.kinds);
    const made = objects.map((given) => {
      const { group, what } = this.#check(given);
      const { object, issues } = admit(given);
      const wrong = issues.find(({ severity }) => severity === 'error');
      if (wrong) throw refused(`${what}: ${wrong.path}: ${wrong.message}`);
      return { kind: worldKind(group, object.kind), key: objectKey(object), value: forCompile(object) };
    });
    return [...made, ...gone];
  }

  /** Throws where an object cannot be tried. */
  #check(given: ConfigObject): { readonly group: string; readonly what: string } {
    const { group } = splitApiVersion(given.apiVersion ?? '');
    const what = `${given.kind} ${given.metadata?.name}`;
    const partly = triable.get(`${group}/${given.kind}`);
    if (!partly)
      throw refused(
        `${what}: this kind cannot be tried on some proxies; ${[...triable.keys()].map((kind) => kind.split('/')[1]).join(', ')} can`,
      );
    const why = partly(given);
    if (why !== undefined) throw refused(`${what} cannot be tried on some proxies: ${why}`);
    return { group, what };
  }

  /** Which proxies it would alter: of each class one is computed with the change, and compared. Nobody is sent anything. */
  async #findConcerned(rollout: Rollout, first: ReadonlySet<string>): Promise<string[]> {
    const { engine } = this.#parts;
    const probeId = `probe of ${rollout.id}`;
    await this.#try(rollout, [probeId]);
    const groups = Map.groupBy(
      [...engine.proxies.values()].filter(({ id }) => id !== probeId),
      ({ id }) => engine.classOf(id),
    );
    const concerned: MeshProxy[] = [];
    for (const [, proxies] of groups) {
      const [first] = proxies;
      if (!first) continue;
      const probe = { ...first, id: probeId };
      await engine.prepare?.(probe);
      engine.connect(probe);
      const differs = Object.values(typeUrls).some(
        (typeUrl) => !isSame(engine.resources(first.id, typeUrl), engine.resources(probeId, typeUrl)),
      );
      engine.disconnect(probeId);
      if (differs) concerned.push(...proxies);
      await immediate();
    }
    // A stable choice: the same workloads go first each time, those that were asked for before the others.
    const place = ({ namespace, name }: MeshProxy): string =>
      `${first.has(`${name}.${namespace}`) ? 0 : 1} ${createHash('sha256').update(`${namespace}/${name}`).digest('hex')}`;
    return concerned
      .map((proxy) => ({ id: proxy.id, place: place(proxy) }))
      .sort((a, b) => (a.place < b.place ? -1 : 1))
      .map(({ id }) => id);
  }

  async #moveTo(rollout: Rollout, share: number): Promise<void> {
    const { concerned } = rollout;
    const count = Math.min(concerned.length, Math.max(1, Math.ceil(share * concerned.length)));
    rollout.members = concerned.slice(0, count);
    rollout.revision = await this.#try(rollout, rollout.members);
    this.#parts.log.info(
      `a change of ${rollout.changes.length} objects is tried on ${rollout.members.length} of ${concerned.length} proxies`,
    );
  }

  /** Gives the change to some. Resolves with the revision once that is pushed. */
  async #try(rollout: Rollout, members: readonly string[]): Promise<number> {
    const { engine, flusher } = this.#parts;
    // What waits to be compiled may concern the objects that are tried.
    await flusher.soon();
    if (rollout.ended !== undefined) return rollout.revision;
    engine.setTrial(new Trial(engine.world, rollout.changes, new Set(members)));
    return this.#push();
  }

  async #finish(rollout: Rollout, why: string): Promise<void> {
    if (rollout.ended !== undefined) return;
    rollout.ended = why;
    clearTimeout(rollout.lease);
    this.#last = rollout;
    this.#current = undefined;
    this.#parts.engine.setTrial(undefined);
    this.#parts.log.info(`the trial of a change on some proxies has ended: ${why}`);
    await this.#push();
  }

  async #push(): Promise<number> {
    const { state, flusher } = this.#parts;
    state.note([]);
    const { revision } = state;
    await flusher.soon();
    return revision;
  }
}

function isSame(a: ReadonlyMap<string, Resource>, b: ReadonlyMap<string, Resource>): boolean {
  if (a === b) return true;
  if (a.size !== b.size) return false;
  for (const [name, { version }] of a) if (b.get(name)?.version !== version) return false;
  return true;
}

/** Whether two states of an object mean the same to the compile; when they were created does not count. */
function sayTheSame(a: ConfigObject | undefined, b: ConfigObject | undefined): boolean {
  return a === undefined || b === undefined ? a === b : deepEqual(meaning(a), meaning(b));
}

function meaning(object: ConfigObject): unknown {
  const { apiVersion: _version, metadata, ...rest } = forCompile(object);
  const { creationTimestamp: _created, ...kept } = metadata;
  return { ...rest, metadata: kept };
}

function refused(message: string): CodedError {
  return new CodedError('RolloutRefused', message);
}
