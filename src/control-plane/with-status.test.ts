import { expect, test } from 'vitest';
import type { ConfigObject } from '../config/object.ts';
import type { ObjectStatusPlan } from '../plan/object-status.ts';
import { withStatus } from './with-status.ts';

const then = '2026-01-01T00:00:00.000Z';
const now = new Date('2026-02-01T00:00:00Z');
const accepted = { type: 'Accepted', status: 'True', reason: 'Accepted', message: 'yes' } as const;

function object(status?: unknown): ConfigObject {
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: { name: 'web', namespace: 'default' },
    ...(status === undefined ? {} : { status }),
  };
}

const parents = (entries: NonNullable<ObjectStatusPlan['shared']>['entries']): ObjectStatusPlan => ({
  shared: { field: 'parents', by: 'parentRef', controllers: ['ours'], entries },
});

test('other controllers keep their entries, stale ones of ours go, foreign conditions stay', () => {
  const theirs = { controllerName: 'theirs', parentRef: { name: 'a' }, conditions: [] };
  const dummy = { type: 'Dummy', status: 'True', reason: 'x', message: '', lastTransitionTime: then };
  const old = object({
    parents: [
      theirs,
      // The same reference with its defaults written out.
      {
        controllerName: 'ours',
        parentRef: { group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'a', namespace: 'default' },
        conditions: [dummy],
      },
      { controllerName: 'ours', parentRef: { name: 'gone' }, conditions: [dummy] },
    ],
  });
  const plan = parents([{ controllerName: 'ours', parentRef: { name: 'a' }, conditions: [accepted] }]);
  const made = withStatus(old, plan, 3, now);
  const written = { ...accepted, observedGeneration: 3, lastTransitionTime: now.toISOString() };
  expect(made.status).toEqual({
    parents: [theirs, { controllerName: 'ours', parentRef: { name: 'a' }, conditions: [dummy, written] }],
  });
  expect(withStatus(made, plan, 3, new Date())).toBe(made);
});

test('a new generation is stamped though nothing else changed, and a time only moves with the status', () => {
  const first = withStatus(object(), { conditions: [accepted] }, 1, new Date(then));
  const second = withStatus(first, { conditions: [accepted] }, 2, now);
  expect(second.status).toEqual({
    conditions: [{ ...accepted, observedGeneration: 2, lastTransitionTime: then }],
  });
  const refused = { ...accepted, status: 'False', reason: 'Invalid' } as const;
  expect(withStatus(second, { conditions: [refused] }, 2, now).status).toEqual({
    conditions: [{ ...refused, observedGeneration: 2, lastTransitionTime: now.toISOString() }],
  });
});

test('conditions that are there only while they hold go with their reason', () => {
  const partly = {
    type: 'PartiallyInvalid',
    status: 'True',
    reason: 'UnsupportedValue',
    message: 'm',
  } as const;
  const first = withStatus(object(), { conditions: [accepted, partly] }, 1, now);
  expect(withStatus(first, { conditions: [accepted] }, 1, now).status).toEqual({
    conditions: [{ ...accepted, observedGeneration: 1, lastTransitionTime: now.toISOString() }],
  });
});

test('a condition that time brings is there while it holds', () => {
  const expired = {
    type: 'ostria.io/CertificateValid',
    status: 'False',
    reason: 'CertificateExpired',
    message: 'm',
    from: now.getTime() + 1_000,
  } as const;
  const plan = { conditions: [accepted, expired] };
  const typesAt = (ms: number) => {
    const { conditions } = withStatus(object(), plan, 1, new Date(now.getTime() + ms)).status as {
      conditions: Record<string, unknown>[];
    };
    expect(conditions.some((one) => 'from' in one)).toBe(false);
    return conditions.map(({ type }) => type);
  };
  expect(typesAt(0)).toEqual(['Accepted']);
  expect(typesAt(2_000)).toEqual(['Accepted', 'ostria.io/CertificateValid']);
});

test('what proxies refused stays said until they take it', () => {
  const rejected = {
    type: 'Programmed',
    status: 'False',
    reason: 'RejectedByProxy',
    message: 'no',
    lastTransitionTime: then,
  };
  const programmed = { ...accepted, type: 'Programmed' } as const;
  const made = withStatus(object({ conditions: [rejected] }), { conditions: [programmed] }, 1, now);
  expect(made.status).toEqual({ conditions: [rejected] });
});
