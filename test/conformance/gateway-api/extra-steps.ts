import { seenRequests } from './backends.ts';
import type { StatusCheck } from './checks.ts';
import { sendHttp, sendUdp } from './requests.ts';
import type { SuiteMesh } from './suite-mesh.ts';
import { webSocketWorks } from './websocket.ts';

/** What a test's own code does beyond its tables. */
export interface ExtraSteps {
  /** Status checks that want something False come after the requests. */
  readonly late?: boolean;
  before?(mesh: SuiteMesh): Promise<void> | void;
  beforeCheck?(mesh: SuiteMesh, check: StatusCheck): Promise<void> | void;
  beforeCase?(mesh: SuiteMesh, step: string): void;
  after?(mesh: SuiteMesh): Promise<void> | void;
}

const infra = 'gateway-conformance-infra';
const group = 'gateway.networking.k8s.io';
const sameNamespace = `${infra}/same-namespace`;

interface Listeners {
  listeners: Record<string, unknown>[];
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + 30_000;
  while (!(await holds().catch(() => false)))
    if (performance.now() > end) throw new Error(`${what} did not come about`);
}

/** A share of requests arrives at a mirror too, within a tenth of all: of so many, seven standard deviations. */
async function mirrored(mesh: SuiteMesh, path: string, percent: number): Promise<void> {
  const port = await mesh.portOf(sameNamespace, 80);
  const total = 1_200;
  const from = seenRequests.length;
  for (let sent = 0; sent < total; sent += 10)
    await Promise.all(Array.from({ length: 10 }, () => sendHttp(port, { path, host: 'example.org' })));
  const copies = (): number =>
    seenRequests.slice(from).filter((seen) => seen.path === path && seen.pod.startsWith('infra-backend-v2-'))
      .length;
  await until(`${percent} % of copies`, async () => Math.abs((100 * copies()) / total - percent) <= 10);
}

/** The grant goes once the requests are through; afterwards nothing leads there. */
const withoutGrant: ExtraSteps = {
  late: true,
  beforeCheck(mesh, { condition }) {
    if (condition?.status === 'False') mesh.removeAll('ReferenceGrant');
  },
};

export const extraSteps: Readonly<Record<string, ExtraSteps>> = {
  HTTPRouteBackendProtocolWebSocket: {
    async after(mesh) {
      const port = await mesh.portOf(sameNamespace, 80);
      await until('a WebSocket', () => webSocketWorks(port, '/ws', 'example.org'));
    },
  },
  HTTPRouteRequestPercentageMirror: {
    async after(mesh) {
      await mirrored(mesh, '/percent-mirror', 20);
      await mirrored(mesh, '/percent-mirror-fraction', 50);
    },
  },
  UDPRoute: {
    async after(mesh) {
      const query = Buffer.from('123401000001000000000000', 'hex');
      const name = Buffer.concat([
        ...['foo', 'bar', 'com'].map((label) =>
          Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]),
        ),
        Buffer.from([0, 0, 1, 0, 1]),
      ]);
      const answer = await sendUdp(
        await mesh.portOf(`${infra}/udp-gateway`, 5300),
        Buffer.concat([query, name]),
      );
      if (answer.readUInt16BE(0) !== 0x1234 || (answer.readUInt16BE(2) & 0x8000) === 0)
        throw new Error('no DNS answer came');
    },
  },
  // The content of the ConfigMap that a policy refers to is spoiled.
  BackendTLSPolicy: {
    before(mesh) {
      mesh.create({
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'reconcile-ca', namespace: infra },
        data: { 'ca.crt': mesh.certificates.checksAuthority },
      });
      mesh.edit(`BackendTLSPolicy.${group}`, `${infra}/reconcile-test`, (policy) => {
        const spec = policy.spec as { validation: object };
        const caCertificateRefs = [{ group: '', kind: 'ConfigMap', name: 'reconcile-ca' }];
        return { ...policy, spec: { ...spec, validation: { ...spec.validation, caCertificateRefs } } };
      });
    },
    beforeCheck(mesh, { step = '', condition }) {
      if (step.startsWith('Changing_the_content') && condition?.status === 'False')
        mesh.edit('ConfigMap', `${infra}/reconcile-ca`, (map) => ({
          ...map,
          data: { 'ca.crt': 'nonsense' },
        }));
    },
  },
  HTTPRouteReferenceGrant: {
    beforeCase(mesh, step) {
      if (step.includes('after_deleting')) mesh.removeAll('ReferenceGrant');
    },
  },
  TCPRouteReferenceGrant: withoutGrant,
  UDPRouteReferenceGrant: withoutGrant,
  UDPRouteMultipleRoutesAttachment: {
    before(mesh) {
      const older = mesh.get(`UDPRoute.${group}`, `${infra}/udproute-attach-older`);
      if (!older) throw new Error('there is no older route');
      mesh.create({
        ...older,
        metadata: {
          name: 'udproute-attach-newer',
          namespace: infra,
          creationTimestamp: '2099-01-01T00:00:00Z',
        },
        spec: {
          ...(older.spec as object),
          rules: [{ backendRefs: [{ name: 'udp-attach-backend-2', port: 8080 }] }],
        },
      });
    },
    async after(mesh) {
      const port = await mesh.portOf(`${infra}/udp-multi-route-attach-gateway`, 5301);
      const answer = JSON.parse(String(await sendUdp(port, Buffer.from('hello')))) as { service?: string };
      if (answer.service !== 'udp-attach-backend-1') throw new Error(`answered by ${answer.service}`);
    },
  },
  BackendTLSPolicyObservedGenerationBump: {
    after(mesh) {
      const kind = `BackendTLSPolicy.${group}`;
      const key = `${infra}/observed-generation-bump`;
      mesh.edit(kind, key, (policy) => ({
        ...policy,
        spec: {
          ...(policy.spec as object),
          validation: { ...(policy.spec as { validation: object }).validation, hostname: 'new.example.com' },
        },
      }));
      const policy = mesh.get(kind, key);
      const { ancestors = [] } = (policy?.status ?? {}) as {
        ancestors?: { conditions: { observedGeneration?: number }[] }[];
      };
      const seen = ancestors.flatMap(({ conditions }) =>
        conditions.map(({ observedGeneration }) => observedGeneration),
      );
      if (seen.length === 0 || seen.some((generation) => generation !== policy?.metadata.generation))
        throw new Error(
          `the status speaks of generations ${seen.join(', ')}, not ${policy?.metadata.generation}`,
        );
    },
  },
  GatewayModifyListeners: {
    before(mesh) {
      mesh.edit(`Gateway.${group}`, `${infra}/gateway-add-listener`, (gateway) => {
        const spec = gateway.spec as Listeners;
        return {
          ...gateway,
          spec: {
            ...spec,
            listeners: [
              ...spec.listeners,
              {
                name: 'http',
                port: 80,
                protocol: 'HTTP',
                hostname: 'data.test.com',
                allowedRoutes: { namespaces: { from: 'All' } },
              },
            ],
          },
        };
      });
      mesh.edit(`Gateway.${group}`, `${infra}/gateway-remove-listener`, (gateway) => {
        const spec = gateway.spec as Listeners;
        return {
          ...gateway,
          spec: { ...spec, listeners: spec.listeners.filter(({ name }) => name !== 'https') },
        };
      });
    },
  },
};
