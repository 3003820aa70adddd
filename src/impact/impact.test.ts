import { beforeAll, describe, expect, it } from 'vitest';
import { parseYamlDocuments } from '../config/yaml-documents.ts';
import { createModel, type Model } from '../model/model.ts';
import { roots } from '../pipeline/roots.ts';
import { impactOf } from './impact.ts';

const base = `
apiVersion: v1
kind: Service
metadata: { name: ledger, namespace: pay }
spec: { selector: { app: ledger }, ports: [{ name: http, port: 8080 }] }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: ledger, namespace: pay }
spec: { selector: { matchLabels: { app: ledger } }, template: { metadata: { labels: { app: ledger } }, spec: { containers: [{ name: app }] } } }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: web, namespace: shop }
spec: { selector: { matchLabels: { app: web } }, template: { metadata: { labels: { app: web } }, spec: { containers: [{ name: app }] } } }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ledger, namespace: pay }
spec:
  hosts: [ledger.pay.svc.cluster.local]
  http:
    - match: [{ uri: { prefix: /api/ } }]
      rewrite: { uri: / }
      route: [{ destination: { host: ledger.pay.svc.cluster.local } }]
    - route: [{ destination: { host: ledger.pay.svc.cluster.local } }]
`;

const objects = (yaml: string) => parseYamlDocuments(yaml, 'test.yaml').objects;

describe('the impact of a change', () => {
  let before: Model;

  beforeAll(() => {
    before = createModel(objects(base), { roots: roots.collections });
  });

  const impact = (yaml: string) => impactOf(before, before.update({ objects: objects(yaml) }));

  it('is none where nothing changes', () => {
    const { touched, changed, cuts } = impact(base);
    expect([touched.proxies, changed, cuts]).toEqual([[], [], []]);
  });

  it('is found through a rewrite, for requests that a server refuses by the path that it gets', () => {
    const { changed, cuts } = impact(`
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: closed, namespace: pay }
spec: { action: DENY, rules: [{ to: [{ operation: { paths: [/admin], methods: [POST] } }] }] }
`);
    const witnesses = changed.map(({ witness: { method, url, stranger }, after }) => [
      method,
      new URL(url).pathname,
      stranger,
      after.ends.map(({ status }) => status),
    ]);
    expect(witnesses).toContainEqual(['POST', '/api/admin', false, [403]]);
    expect(witnesses).toContainEqual(['POST', '/admin', false, [403]]);
    expect(witnesses).toContainEqual(['POST', '/admin', true, [403]]);
    expect(
      changed.every(({ decidedAfter }) => decidedAfter.some(({ kind }) => kind === 'AuthorizationPolicy')),
    ).toBe(true);
    expect(cuts).toEqual([]);
  });

  it('concerns those without an identity where mutual TLS becomes a must', () => {
    const { changed } = impact(`
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: strict, namespace: pay }
spec: { mtls: { mode: STRICT } }
`);
    expect(changed.map(({ witness }) => witness.stranger)).toEqual([true]);
  });

  it('says where it was not looked', () => {
    const after = before.update({
      objects: objects(
        base
          .replace('- route:', '- timeout: 3s\n      route:')
          .replace('prefix: /api/', 'regex: "/a[b-d]+/.*"'),
      ),
    });
    expect(impactOf(before, after, { requests: 1 }).cuts.join()).toMatch(
      /the search ended at .*: 1 requests were looked at/,
    );
    let now = 0;
    expect(impactOf(before, after, { timeMs: 5, now: () => (now += 3) }).cuts.join()).toMatch(
      /took more than 0.005 s/,
    );
  });
});
