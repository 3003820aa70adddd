import { beforeEach, expect, test } from 'vitest';
import type { ConfigObject } from '../config/object.ts';
import type { Quarantine } from '../features/extensibility/envoy-filter/schema.ts';
import type { Push } from '../snapshot/push.ts';
import { type Resource, typeUrls } from '../snapshot/resource.ts';
import { createLedger, type Ledger } from '../xds/ledger.ts';
import { FilterQuarantine } from './filter-quarantine.ts';

let ledger: Ledger;
let quarantine: FilterQuarantine;
let inForce: Map<string, Quarantine | undefined>;
let version: string;
/** What is made without a filter differs from what is made with it. */
let changesVersion: boolean;
let push: (push: Push) => void;

const names = Array.from({ length: 30 }, (_, index) => (index === 0 ? 'l' : `l${index - 1}`));
const resource: Resource = {
  typeUrl: typeUrls.listener,
  name: 'l',
  version: '',
  bytes: new Uint8Array(),
  origins: [],
};

beforeEach(() => {
  ledger = createLedger();
  inForce = new Map();
  version = 'v1';
  changesVersion = true;
  quarantine = new FilterQuarantine({
    apply: (changes) => {
      for (const { key, value } of changes) inForce.set(key, value as Quarantine | undefined);
      if (changesVersion) version += '.';
    },
    compile: {
      resources: () => new Map(names.map((name) => [name, { ...resource, name, version }])),
      onPush: (listener) => {
        push = listener;
        return () => undefined;
      },
    },
    settled: () => Promise.resolve(),
    log: { info: () => undefined },
  });
  quarantine.follow(ledger);
});

function edit(name: string, content: unknown): void {
  const object: ConfigObject = {
    apiVersion: 'networking.istio.io/v1alpha3',
    kind: 'EnvoyFilter',
    metadata: { name },
    spec: { configPatches: [content] },
  };
  quarantine.observe([{ group: 'networking.istio.io', kind: 'EnvoyFilter', key: `default/${name}`, object }]);
}

function reject(filters: readonly string[], resource = 'l', message = 'no', refused = version): void {
  const origins = filters.map((name) => ({ kind: 'EnvoyFilter', namespace: 'default', name, path: '' }));
  ledger.noteRejected({
    proxyId: 'p',
    typeUrl: typeUrls.listener,
    resources: [resource],
    message,
    origins,
    details: [{ name: resource, version: refused, message, at: 0, origins }],
  });
}

function recover(resource = 'l'): void {
  ledger.noteRecovered({ proxyId: 'p', typeUrl: typeUrls.listener, resources: [resource] });
}

/** Who is left out of something. */
function leftOut(): string[] {
  return [...inForce].flatMap(([key, value]) => (value ? [key.slice('default/'.length)] : [])).sort();
}

test('one culprit is left out with its reason, and is tried again when it is edited', () => {
  edit('a', 1);
  reject(['a'], 'l', 'bad script');
  expect(inForce.get('default/a')?.resources).toEqual({ [`${typeUrls.listener} l`]: 'bad script' });
  recover();
  edit('a', 1);
  expect(leftOut()).toEqual(['a']);
  edit('a', 2);
  expect(leftOut()).toEqual([]);
});

test('among several the last edited is suspected first, and the innocent come back', () => {
  edit('old-bad', 1);
  edit('good', 1);
  reject(['old-bad', 'good']);
  expect(leftOut()).toEqual(['good']);
  reject(['old-bad']);
  expect(leftOut()).toEqual(['good', 'old-bad']);
  recover();
  expect(leftOut()).toEqual(['old-bad']);
});

test('what is refused without any filter is nobody’s fault, and is not tried for ever', () => {
  edit('a', 1);
  reject(['a']);
  reject([]);
  expect(leftOut()).toEqual([]);
  reject(['a']);
  expect(leftOut()).toEqual([]);
});

test('a refusal of an older version says nothing of the present one', async () => {
  edit('a', 1);
  reject(['a'], 'l', 'no', 'v0');
  expect(leftOut()).toEqual([]);
  // Unless that version comes back: it is not sent, so nobody would refuse it again.
  version = 'v0';
  const upserts = [{ ...resource, version }];
  push({
    revision: 2,
    deltas: [{ typeUrl: typeUrls.listener, proxies: new Set(['p']), upserts, removed: [] }],
  });
  await expect.poll(leftOut).toEqual(['a']);
});

test('a filter that breaks many resources is out of force everywhere', () => {
  edit('a', 1);
  for (let i = 0; i < 21; i++) reject(['a'], `l${i}`);
  expect(inForce.get('default/a')?.everywhere).toBe(true);
});

test('a filter that goes takes its quarantine along', () => {
  edit('a', 1);
  reject(['a']);
  quarantine.observe([{ group: '', kind: 'EnvoyFilter', key: 'default/a' }]);
  expect(leftOut()).toEqual([]);
});

test('where leaving one out changes nothing, the next is suspected', async () => {
  edit('bad', 1);
  edit('same', 1);
  changesVersion = false;
  reject(['bad', 'same']);
  expect(leftOut()).toEqual(['same']);
  changesVersion = true;
  await expect.poll(leftOut).toEqual(['bad', 'same']);
  recover();
  expect(leftOut()).toEqual(['bad']);
});
