import { randomUUID } from 'node:crypto';
import type { WorkloadGroupSpec } from '../../gen/crd/types/istio/workload-group.ts';
import type { ConfigObject } from '../config/object.ts';
import type { ObjectRef, Store } from '../config/store/store.ts';
import { deepEqual } from '../kit/deep-equal.ts';
import type {
  RegistrationAnswer,
  RegistrationClaim,
  RegistrationReport,
  WorkloadProbe,
} from '../kit/registration.ts';
import type { Logger } from './log.ts';
import type { StatusWriter } from './status-writer.ts';

/** Annotation that marks an entry as ours to keep and to remove, and names its group. Istio's. */
const groupAnnotation = 'istio.io/autoRegistrationGroup';
const connectedAnnotation = 'istio.io/connectedAt';
const healthChecks = 'proxy.istio.io/health-checks-enabled';
const entryResource = 'workloadentries.networking.istio.io';

export interface AutoRegistrationOptions {
  readonly store: Store;
  readonly writer: StatusWriter;
  readonly group: (key: string) => ConfigObject | undefined;
  readonly log: Logger;
  /** How long an entry outlives its last connection, in ms. Default 10,000, as Istio's. */
  readonly graceMs?: number;
  /** Nobody else writes to the store: entries that nobody claims after a start are left over. */
  readonly alone: boolean;
}

type WorkloadId = Pick<RegistrationClaim, 'namespace' | 'workload'>;

/** One workload that is, or lately was, connected. */
interface Member {
  connections: number;
  /** Connected proxies whose agents register them. */
  proxies: number;
  removal: NodeJS.Timeout | undefined;
  /** Writes about one entry follow each other. */
  work: Promise<unknown>;
}

/**
 * WorkloadEntries of WorkloadGroups: made of the group's template when a workload connects that names the group, kept current while it
 * is connected, and removed a grace after it is gone. Objects that users wrote are never touched.
 */
export class AutoRegistration {
  readonly #options: AutoRegistrationOptions;
  readonly #graceMs: number;
  readonly #members = new Map<string, Member>();
  #sweep: NodeJS.Timeout | undefined;

  constructor(options: AutoRegistrationOptions) {
    this.#options = options;
    this.#graceMs = options.graceMs ?? 10_000;
    if (options.alone)
      this.#sweep = setTimeout(() => void this.#removeUnclaimed(), 3 * this.#graceMs).unref();
  }

  /** Takes a connection of a workload whose identity is proved. Each one that is not refused must be ended with `leave`. */
  register(claim: RegistrationClaim): Promise<RegistrationAnswer> {
    const key = keyOf(claim);
    const member = this.#member(key);
    clearTimeout(member.removal);
    member.removal = undefined;
    member.connections++;
    return this.#inOrder(member, async () => {
      const answer = await this.#write(claim).catch((error: Error) => {
        this.#options.log.warn(`WorkloadEntry ${key}: ${error.message}`);
        return { retry: error.message };
      });
      if ('registered' in answer) return answer;
      this.#forget(key, member);
      if ('retry' in answer) throw new Error(answer.retry);
      return answer;
    });
  }

  /** The proxy of a workload that its agent registers is connected, and keeps the entry where the agent dies. Returns its end. */
  hold(workload: WorkloadId): () => void {
    const key = keyOf(workload);
    const member = this.#member(key);
    clearTimeout(member.removal);
    member.removal = undefined;
    member.proxies++;
    return () => {
      member.proxies--;
      if (member.connections === 0 && member.proxies === 0)
        this.#removeAfter(workload, member, this.#graceMs);
    };
  }

  report(claim: RegistrationClaim, report: Exclude<RegistrationReport, { leaving: true }>): void {
    const { healthy, message = '' } = report;
    this.#options.writer.report(refOf(claim), 'Healthy', {
      status: healthy ? 'True' : 'False',
      reason: healthy ? 'ProbeSucceeded' : 'ProbeFailed',
      ...(healthy ? {} : { message: message.slice(0, 500) }),
    });
  }

  /** A connection is over; `forGood`: the workload said so, though its proxy is connected until it is drained. */
  leave(claim: WorkloadId, forGood = false): void {
    const member = this.#members.get(keyOf(claim));
    if (!member) return;
    member.connections--;
    if (member.connections > 0) return;
    if (forGood) this.#removeAfter(claim, member, 0);
    else if (member.proxies === 0) this.#removeAfter(claim, member, this.#graceMs);
  }

  #removeAfter(workload: WorkloadId, member: Member, ms: number): void {
    const key = keyOf(workload);
    clearTimeout(member.removal);
    member.removal = setTimeout(() => {
      void this.#inOrder(member, async () => {
        if (member.connections > 0) return;
        if (member.proxies === 0) this.#members.delete(key);
        await this.#remove(refOf(workload));
      }).catch((error: Error) => this.#options.log.warn(`WorkloadEntry ${key}: ${error.message}`));
    }, ms);
  }

  async close(): Promise<void> {
    clearTimeout(this.#sweep);
    for (const { removal } of this.#members.values()) clearTimeout(removal);
    await Promise.allSettled([...this.#members.values()].map(({ work }) => work));
  }

  #member(key: string): Member {
    const member = this.#members.get(key) ?? {
      connections: 0,
      proxies: 0,
      removal: undefined,
      work: Promise.resolve(),
    };
    this.#members.set(key, member);
    return member;
  }

  #forget(key: string, member: Member): void {
    member.connections--;
    if (member.connections === 0 && member.proxies === 0) this.#members.delete(key);
  }

  #inOrder<T>(member: Member, work: () => Promise<T>): Promise<T> {
    const done = member.work.then(work);
    member.work = done.catch(() => undefined);
    return done;
  }

  async #write(claim: RegistrationClaim): Promise<RegistrationAnswer | { retry: string }> {
    const { store } = this.#options;
    const group = this.#options.group(`${claim.namespace}/${claim.group}`);
    if (!group)
      return { refused: `there is no WorkloadGroup ${claim.group} in namespace ${claim.namespace}` };
    const spec = group.spec as WorkloadGroupSpec;
    const account = spec.template.serviceAccount || 'default';
    if (account !== claim.serviceAccount)
      return {
        refused: `WorkloadGroup ${claim.group} is for service account ${account}, and the workload proves to be ${claim.serviceAccount}`,
      };
    const ref = refOf(claim);
    for (let attempt = 0; attempt < 5; attempt++) {
      const present = await store.get(ref);
      const owner = present?.object.metadata.annotations?.[groupAnnotation];
      if (present && owner !== claim.group)
        return {
          refused: `there is a WorkloadEntry ${claim.workload} already, which ${owner === undefined ? 'somebody wrote' : `is of group ${owner}`}`,
        };
      const object = entryOf(claim, group, present?.object);
      if (present && deepEqual(present.object, object)) return registered(claim, spec.probe);
      const result = await store.commit([{ type: 'put', ref, object, expect: present?.revision ?? 0 }]);
      if (result.ok) return registered(claim, spec.probe);
    }
    return { retry: 'the entry changes all the time' };
  }

  async #remove(ref: ObjectRef): Promise<void> {
    const present = await this.#options.store.get(ref);
    if (present?.object.metadata.annotations?.[groupAnnotation] === undefined) return;
    await this.#options.store.commit([{ type: 'delete', ref, expect: present.revision }]);
    this.#options.log.info(`WorkloadEntry ${ref.namespace}/${ref.name} is removed: its workload is gone`);
  }

  /** What an earlier run registered and nobody has claimed since. */
  async #removeUnclaimed(): Promise<void> {
    const { items } = await this.#options.store.list({ resource: entryResource });
    for (const { ref, object } of items)
      if (
        object.metadata.annotations?.[groupAnnotation] !== undefined &&
        !this.#members.has(`${ref.namespace}/${ref.name}`)
      )
        await this.#remove(ref).catch((error: Error) => this.#options.log.warn(error.message));
  }
}

function registered({ workload }: RegistrationClaim, probe: WorkloadProbe | undefined): RegistrationAnswer {
  return { registered: workload, ...(probe ? { probe } : {}) };
}

/** Named as the workload is: a proxy finds what it serves by that name. */
function keyOf({ namespace, workload }: WorkloadId): string {
  return `${namespace}/${workload}`;
}

function refOf({ namespace, workload }: WorkloadId): ObjectRef {
  return { resource: entryResource, namespace, name: workload };
}

function entryOf(
  claim: RegistrationClaim,
  group: ConfigObject,
  present: ConfigObject | undefined,
): ConfigObject {
  const { template, metadata, probe } = group.spec as WorkloadGroupSpec;
  const { locality = template.locality, network = template.network } = claim;
  const ports = Object.entries(template.ports ?? {}).map(([name, port]) => [
    name,
    claim.ports?.[port] ?? port,
  ]);
  const annotations = {
    ...metadata?.annotations,
    [groupAnnotation]: claim.group,
    [connectedAnnotation]: present?.metadata.annotations?.[connectedAnnotation] ?? new Date().toISOString(),
    ...(probe ? { [healthChecks]: 'true' } : {}),
  };
  const spec = {
    ...template,
    address: claim.address,
    labels: { ...template.labels, ...claim.labels },
    serviceAccount: claim.serviceAccount,
    ...(ports.length > 0 ? { ports: Object.fromEntries(ports) as Record<string, number> } : {}),
    ...(locality ? { locality } : {}),
    ...(network ? { network } : {}),
  };
  const changed = !deepEqual(present?.spec, spec);
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'WorkloadEntry',
    metadata: {
      ...present?.metadata,
      name: claim.workload,
      namespace: claim.namespace,
      uid: present?.metadata.uid ?? randomUUID(),
      creationTimestamp: present?.metadata.creationTimestamp ?? new Date().toISOString(),
      generation: (present?.metadata.generation ?? 0) + (changed ? 1 : 0),
      labels: { ...metadata?.labels },
      annotations,
      ...(group.metadata.uid
        ? {
            ownerReferences: [
              {
                apiVersion: group.apiVersion,
                kind: group.kind,
                name: group.metadata.name,
                uid: group.metadata.uid,
              },
            ],
          }
        : {}),
    },
    spec,
    ...(present?.status ? { status: present.status } : {}),
  };
}
