import { expect, test } from 'vitest';
import type { ConfigObject } from '../../config/object.ts';
import { gatewaysToStart, mappedPorts, mostStarted } from './started-gateways.ts';

function gateway(
  name: string,
  spec: Record<string, unknown>,
  created = '2026-01-01T00:00:00Z',
): ConfigObject {
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: { name, namespace: 'shop', creationTimestamp: created },
    spec: { gatewayClassName: 'istio', listeners: [{ name: 'http', port: 80, protocol: 'HTTP' }], ...spec },
  };
}

function gatewayClass(name: string, controllerName: string): ConfigObject {
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'GatewayClass',
    metadata: { name },
    spec: { controllerName },
  };
}

const start = (gateways: ConfigObject[], classes: ConfigObject[] = [], listenerSets: ConfigObject[] = []) =>
  gatewaysToStart({ gateways, classes, listenerSets });

test('a Gateway of our class wants an Envoy of its own, known by its label', () => {
  const listeners = [
    { name: 'a', port: 443, protocol: 'HTTPS', hostname: 'a.example.com' },
    { name: 'b', port: 443, protocol: 'HTTPS' },
    { name: 'c', port: 8080, protocol: 'HTTP' },
  ];
  expect(start([gateway('front', { listeners, infrastructure: { labels: { team: 'a' } } })])).toEqual([
    {
      name: 'front-istio',
      namespace: 'shop',
      serviceAccount: 'front-istio',
      labels: {
        team: 'a',
        'gateway.networking.k8s.io/gateway-name': 'front',
        'gateway.networking.k8s.io/gateway-class-name': 'istio',
      },
      ports: [
        { name: 'https-443', port: 443 },
        { name: 'http-8080', port: 8080, preferred: 8080 },
      ],
      startedFor: 'shop/front',
    },
  ]);
});

test('a class belongs to the controller that it names; without an object only the built-in one is ours', () => {
  const names = (classes: ConfigObject[]) =>
    start(
      [gateway('a', {}), gateway('b', { gatewayClassName: 'edge' }), gateway('c', { gatewayClassName: 'x' })],
      classes,
    ).map(({ name }) => name);
  expect(names([])).toEqual(['a-istio']);
  expect(names([gatewayClass('edge', 'istio.io/gateway-controller')])).toEqual(['a-istio', 'b-edge']);
  expect(names([gatewayClass('istio', 'example.com/other')])).toEqual([]);
});

test('Gateways that name a Service, go, or listen nowhere want none; ListenerSets add ports', () => {
  const manual = gateway('manual', { addresses: [{ type: 'Hostname', value: 'mine' }] });
  const going = gateway('going', {});
  going.metadata.deletionTimestamp = '2026-01-02T00:00:00Z';
  expect(start([manual, going, gateway('deaf', { listeners: [] })])).toEqual([]);
  const set: ConfigObject = {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'ListenerSet',
    metadata: { name: 'more', namespace: 'shop' },
    spec: { parentRef: { name: 'front' }, listeners: [{ name: 'tcp', port: 9000, protocol: 'TCP' }] },
  };
  expect(start([gateway('front', {})], [], [set])[0]?.ports.map(({ port }) => port)).toEqual([80, 9000]);
});

test('there is a bound, which spares the old ones', () => {
  const many = Array.from({ length: mostStarted + 1 }, (_, index) =>
    gateway(`g${index}`, {}, `2026-01-01T00:00:${String(59 - index).padStart(2, '0')}Z`),
  );
  const names = start(many).map(({ name }) => name);
  expect(names).toHaveLength(mostStarted);
  expect(names).not.toContain('g0-istio');
});

test('says which ports have another number here', () => {
  const endpoints = [
    { name: 'http-80', servicePort: 80, listen: 20080 },
    { name: 'http-8080', servicePort: 8080, listen: 8080 },
  ];
  expect(mappedPorts({ endpoints })).toBe('80=20080');
});
