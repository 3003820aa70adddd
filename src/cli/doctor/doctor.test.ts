import { expect, test } from 'vitest';
import { formatChecks } from '../commands/doctor.ts';
import { clockCheck, filesCheck, inotifyCheck, nodeCheck } from './machine-checks.ts';
import { authorityChecks, processChecks, syncChecks, workloadCertificateChecks } from './mesh-checks.ts';

const day = 86_400_000;
const now = Date.parse('2026-11-27T12:00:00Z');
const plain = new Proxy({}, { get: () => (text: string) => text }) as never;

test('limits of a machine', () => {
  expect(nodeCheck('22.1.0').state).toBe('error');
  expect(nodeCheck('26.0.0').state).toBe('ok');
  const limits = (soft: string) =>
    `Limit  Soft Limit  Hard Limit  Units\nMax open files            ${soft}                 524288               files\n`;
  expect(filesCheck(limits('1024'))).toMatchObject({
    state: 'warning',
    mend: expect.stringContaining('ulimit'),
  });
  expect(filesCheck(limits('unlimited')).state).toBe('ok');
  expect(filesCheck(undefined).state).toBe('skipped');
  expect(inotifyCheck(1_000, 128)).toMatchObject({
    state: 'warning',
    mend: expect.stringContaining('sysctl'),
  });
  expect(inotifyCheck(undefined, undefined).state).toBe('skipped');
  expect(clockCheck(now, now + day).state).toBe('error');
  expect(clockCheck(now, now - day).state).toBe('ok');
});

test('a mesh: what is down, behind, refused, or about to end', () => {
  const instance = { name: 'reviews-v1-0', ready: false, why: 'exit code 1', restarts: 5 };
  const status = {
    version: '1',
    controlPlane: { ready: true },
    instances: [instance],
    problems: ['a.yaml:1:1: no'],
  };
  expect(processChecks('m', status as never).map(({ name, state }) => [name, state])).toEqual([
    ['control plane', 'ok'],
    ['reviews-v1-0', 'error'],
    ['reviews-v1-0', 'warning'],
    ['applied files', 'error'],
  ]);
  const proxy = (state: string, rejected: object[] = []) => ({
    proxyId: 'sidecar~1.1.1.1~web.default~default.svc.cluster.local',
    types: [{ state, rejected }],
  });
  expect(syncChecks('m', [proxy('SYNCED')] as never)).toMatchObject([{ state: 'ok' }]);
  expect(syncChecks('m', [proxy('STALE')] as never)).toMatchObject([
    { name: 'web.default', state: 'warning' },
  ]);
  expect(syncChecks('m', [proxy('NACKED', [{ name: 'x', message: 'bad' }])] as never)).toMatchObject([
    { state: 'error', found: 'its Envoy refused x: bad' },
  ]);
  const ring = (days: number) => ({
    kind: 'self-signed',
    chains: [{ what: 'root', subject: 'CN=root', notAfter: new Date(now + days * day) }],
  });
  const state = (days: number) => authorityChecks('m', ring(days) as never, now).map((check) => check.state);
  expect([state(365), state(10), state(-1)]).toEqual([['ok'], ['warning'], ['error']]);
  const ends = (hours: number) => [{ name: 'web', end: now + hours * 3_600_000 }];
  expect(workloadCertificateChecks('m', ends(5), now)).toMatchObject([
    { state: 'ok', found: expect.stringContaining('5.0 hours') },
  ]);
  expect(workloadCertificateChecks('m', ends(-1), now)).toMatchObject([{ state: 'error' }]);
});

test('what people read', () => {
  const text = formatChecks([nodeCheck('26.0.0'), nodeCheck('20.0.0')], plain);
  expect(text).toBe(
    'machine\n  ✔ node: Node 26.0.0\n  ✘ node: Node 20.0.0\n      install Node 24 or newer\n\n1 error, 0 warnings.\n',
  );
});
