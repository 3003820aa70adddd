import { expect, test } from 'vitest';
import { mismatchesOf } from '../../../assertions/check.ts';
import type { Checked } from '../../../assertions/checked.ts';
import { createModel } from '../../../model/model.ts';
import { roots } from '../../../pipeline/roots.ts';
import { ask } from '../../../request-space/journey.ts';
import { outcomeOf } from '../../../request-space/outcome.ts';
import { type Answer, isMixed, observe } from './observe.ts';

const deployment = (name: string, app: string) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name },
  spec: {
    template: { metadata: { labels: { app, version: name } }, spec: { containers: [{ name: 'app' }] } },
  },
});

const model = createModel(
  [
    deployment('web', 'web'),
    deployment('v1', 'reviews'),
    deployment('v2', 'reviews'),
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'reviews' },
      spec: { selector: { app: 'reviews' }, ports: [{ name: 'http', port: 80 }] },
    },
  ].map((object) => ({ object })),
  { roots: roots.collections },
);

const question = { from: 'web', url: 'http://reviews/', headers: { 'x-secret': 's' } };
const asked = ask(model, question);
if (!asked.ok) throw new Error(asked.error.message);
const { journey } = asked;
const predicted: Checked = { model, question, journey, outcome: outcomeOf(model, journey) };

const answer = (workload: string): Answer => ({
  status: 200,
  arrived: {
    workload: `default/${workload}-0`,
    host: 'reviews',
    path: '/',
    headers: { 'x-secret': 's' },
  },
});
const answers = (v1: number, v2: number) => [
  ...Array.from({ length: v1 }, () => answer('v1')),
  ...Array.from({ length: v2 }, () => answer('v2')),
];
const halves = [
  { workload: 'v1', weight: 50 },
  { workload: 'v2', weight: 50 },
];

test('shares that chance explains are as predicted', () => {
  expect(isMixed(predicted)).toBe(true);
  const { checked, differences } = observe(predicted, answers(215, 185));
  expect(differences).toEqual([]);
  expect(mismatchesOf(checked, { goesTo: halves, allowed: true, headers: { 'x-secret': 's' } })).toEqual([]);
});

test('shares that chance does not explain differ', () => {
  const { checked, differences } = observe(predicted, answers(300, 100));
  expect(differences).toEqual([
    'reaches v1.default (75 %), reaches v2.default (25 %) on Envoy, reaches v1.default (50 %), reaches v2.default (50 %) predicted',
  ]);
  expect(mismatchesOf(checked, { goesTo: halves }).map(({ field }) => field)).toEqual(['goesTo']);
});

test('what a proxy answers in place of the destination is seen', () => {
  const { checked, differences } = observe(predicted, [{ status: 403 }]);
  expect(differences[0]).toMatch(/^status 403 on Envoy/);
  expect(mismatchesOf(checked, { denied: true, status: 403 })).toEqual([]);
  expect(mismatchesOf(checked, { allowed: true, goesTo: 'v1' }).map(({ field }) => field)).toEqual([
    'allowed',
    'goesTo',
  ]);
});

test('headers and paths count as the application got them', () => {
  const [first] = answers(1, 0);
  const arrived = {
    ...(first?.arrived as NonNullable<Answer['arrived']>),
    path: '/other',
    headers: { 'x-new': '1' },
  };
  const { checked } = observe(
    predicted,
    answers(200, 200).map((one) => ({
      ...one,
      arrived: { ...arrived, workload: one.arrived?.workload ?? '' },
    })),
  );
  expect(mismatchesOf(checked, { path: '/other', headers: { 'x-new': '1', 'x-secret': null } })).toEqual([]);
  expect(mismatchesOf(checked, { path: '/' })).toMatchObject([{ actual: '/other' }]);
});
