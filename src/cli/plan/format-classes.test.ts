import { expect, test } from 'vitest';
import type { ConfigObject } from '../../config/object.ts';
import { impactOf } from '../../impact/impact.ts';
import { createModel } from '../../model/model.ts';
import { roots } from '../../pipeline/roots.ts';
import { classGroups } from './format-classes.ts';
import { withoutMinor } from './minor-classes.ts';

function objects(name: string, sidecar = true): ConfigObject[] {
  const labels = { app: name };
  const annotations = sidecar ? {} : { 'sidecar.istio.io/inject': 'false' };
  return [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, namespace: 'shop' },
      spec: { selector: labels, ports: [{ name: 'http', port: 80 }] },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name, namespace: 'shop' },
      spec: {
        selector: { matchLabels: labels },
        template: { metadata: { labels, annotations }, spec: { containers: [{ name: 'app' }] } },
      },
    },
  ];
}

/** Of the loss of one sidecar among services with one workload each. */
function groupsOf(services: number) {
  const all = Array.from({ length: services }, (_, i) => objects(`s${i}`)).flat();
  const before = createModel(
    all.map((object) => ({ object })),
    { roots: roots.collections },
  );
  const after = before.update({ objects: objects('s0', false).map((object) => ({ object })) });
  const { changed } = impactOf(before, after);
  return { before, after, changed, groups: classGroups(before, after, changed) };
}

test('what one change does to requests to many services is told once', () => {
  const { changed, groups } = groupsOf(6);
  expect(groups.flatMap(({ classes }) => classes)).toHaveLength(changed.length);
  const own = groups.filter(({ who }) => who === 'from s0.shop');
  const hosts = own.map(({ classes }) => classes.map(({ witness }) => new URL(witness.url).hostname));
  expect(hosts).toContainEqual(expect.arrayContaining(['s1', 's2', 's3', 's4', 's5']));
  const few = groupsOf(3);
  expect(changed.length).toBeGreaterThan(few.changed.length);
  expect(groups.length).toBe(few.groups.length);
});

test('what nobody does on purpose is counted beside what is told, and is told where it is all there is', () => {
  const { before, changed } = groupsOf(3);
  const ports = new Set([before.mesh.proxyInboundListenPort]);
  const { told, minor } = withoutMinor(changed, ports);
  const urls = (classes: readonly { readonly witness: { readonly url: string } }[]) =>
    classes.map(({ witness }) => witness.url.replace(/[\d.]{9,}/, 'ADDRESS'));
  expect([...new Set(urls(minor))].sort()).toEqual(['http://ADDRESS:15006/', 'tcp://ADDRESS:80']);
  expect(told.length + minor.length).toBe(changed.length);
  expect(urls(told)).toContain('tcp://unknown.example:80');
  expect(urls(told).join()).not.toMatch(/:15006/);
  expect(withoutMinor(minor, ports)).toEqual({ told: minor, minor: [] });
  // Who loses a connection that works is told.
  const lost = minor.map((one) => ({ ...one, before: one.after, after: one.before }));
  expect(urls(withoutMinor([...told, ...lost], ports).told)).toContain('tcp://ADDRESS:80');
});
