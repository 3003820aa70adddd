import { beforeAll, describe, expect, it } from 'vitest';
import { parseYamlDocuments } from '../config/yaml-documents.ts';
import { createModel, type Model } from '../model/model.ts';
import { roots } from '../pipeline/roots.ts';
import { depart, send } from '../request-space/journey.ts';
import { type OutcomeEnd, outcomeOf, type RequestOutcome } from '../request-space/outcome.ts';
import { classKey, type Impact, impactOf } from './impact.ts';
import { unservedPort } from './target.ts';

/** Of a request that ends so, and tells nothing else. */
function outcomeWith(ends: readonly Omit<OutcomeEnd, 'percent' | 'reason'>[]): RequestOutcome {
  return {
    ends: ends.map((end) => ({ percent: 50, reason: '', ...end })),
    clusters: [],
    arrivals: [],
    traits: {},
    deciders: [],
  };
}

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
    const witnesses = changed.map(({ witness: { method, url, strangerPort }, after }) => [
      method,
      new URL(url).pathname,
      strangerPort !== undefined,
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

  it('finds the paths that a regular expression rewrites, among those that it leaves', () => {
    const { changed } = impact(`
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ledger, namespace: pay }
spec:
  hosts: [ledger.pay.svc.cluster.local]
  http:
    - match: [{ uri: { prefix: /api/ } }]
      rewrite: { uri: / }
      route: [{ destination: { host: ledger.pay.svc.cluster.local } }]
    - rewrite: { uriRegexRewrite: { match: 'q[0-9]', rewrite: q } }
      route: [{ destination: { host: ledger.pay.svc.cluster.local } }]
`);
    const arriving = changed.flatMap(({ after }) => after.arrivals.map(({ path = '' }) => path));
    expect(arriving.some((path) => path.includes('q'))).toBe(true);
  });

  it('concerns those without an identity where mutual TLS becomes a must', () => {
    const { changed } = impact(`
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: strict, namespace: pay }
spec: { mtls: { mode: STRICT } }
`);
    const strangers = changed.filter(({ witness }) => witness.strangerPort !== undefined);
    // The port of the service, and any other: whoever calls them needs no service for it.
    expect(new Set(strangers.map(({ witness }) => witness.strangerPort))).toEqual(
      new Set([8080, unservedPort]),
    );
    for (const { places, senders } of strangers) expect([places, senders]).toEqual([['pay/ledger-0'], []]);
    // Sidecars know services, not addresses: what goes to one leaves them as it came.
    const others = changed.filter((one) => !strangers.includes(one));
    expect(others.length).toBeGreaterThan(0);
    for (const { places, senders, after } of others) {
      expect([places, senders]).toEqual([['pay/ledger-0'], ['pay/ledger-0', 'shop/web-0']]);
      expect(after.ends[0]?.by).toBe('PeerAuthentication/pay/strict#spec.mtls');
    }
  });

  it('reaches a workload that loses its sidecar: nobody guards it, and it calls what it knew by name itself', () => {
    const guarded = before.update({
      objects: objects(`
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: closed, namespace: pay }
spec: {}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: alias, namespace: pay }
spec: { hosts: [alias.example], http: [{ route: [{ destination: { host: ledger.pay.svc.cluster.local } }] }] }
---
apiVersion: v1
kind: Service
metadata: { name: www, namespace: pay }
spec: { selector: { app: www }, ports: [{ name: http, port: 80 }] }
`),
    });
    const after = guarded.update({
      objects: objects(`
apiVersion: v1
kind: Namespace
metadata: { name: pay, labels: { istio-injection: disabled } }
`),
    });
    const { changed, cuts } = impactOf(guarded, after);
    const opened = changed.filter(({ before, after }) =>
      [before, after].every(({ ends }, index) => ends[0]?.outcome === (index === 0 ? 'denied' : 'delivered')),
    );
    expect(opened.map(({ witness }) => witness.strangerPort)).toEqual(
      expect.arrayContaining([8080, unservedPort]),
    );
    const hosts = changed.map(({ witness }) => `${witness.from} ${new URL(witness.url).hostname}`);
    expect(hosts).toContain('pay/ledger-0 alias.example');
    expect(cuts).toEqual([]);
  });

  it('reaches the hosts whose routes lead to a server that judges otherwise', () => {
    const routed = before.update({
      objects: objects(`
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: api, namespace: shop }
spec: { hosts: [api.example.com], resolution: DNS, ports: [{ name: http, number: 80, protocol: HTTP }] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: api, namespace: shop }
spec:
  hosts: [api.example.com]
  http: [{ route: [{ destination: { host: ledger.pay.svc.cluster.local, port: { number: 8080 } } }] }]
`),
    });
    const after = routed.update({
      objects: objects(`
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: tokens, namespace: pay }
spec: { jwtRules: [{ issuer: login, audiences: [pay], jwks: '{"keys":[]}' }] }
`),
    });
    const refused = impactOf(routed, after).changed.filter(({ witness }) =>
      witness.url.startsWith('http://api.example.com/'),
    );
    expect(
      refused.map(({ witness: { claims }, after: { ends } }) => [claims?.iss, claims?.aud, ends[0]?.status]),
    ).toEqual(
      expect.arrayContaining([
        ['https://issuer.example', undefined, 401],
        ['login', 'elsewhere', 403],
      ]),
    );
  });

  it('knows calls of a workload that no service has', () => {
    const { changed } = impact(`
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: closed, namespace: shop }
spec: { selector: { matchLabels: { app: web } }, action: DENY, rules: [{ to: [{ operation: { ports: ['65000'] } }] }] }
`);
    expect(changed.map(({ witness, senders, places }) => [witness.strangerPort, senders, places])).toEqual([
      [undefined, ['pay/ledger-0', 'shop/web-0'], ['shop/web-0']],
      [unservedPort, [], ['shop/web-0']],
    ]);
  });

  it('tells where somebody else is asked', () => {
    const provider = `
apiVersion: v1
kind: ConfigMap
metadata: { name: istio, namespace: istio-system }
data: { mesh: 'extensionProviders: [{ name: gate, envoyExtAuthzGrpc: { service: gate.pay.svc.cluster.local, port: 8080 } }]' }
---
apiVersion: v1
kind: Service
metadata: { name: gate, namespace: pay }
spec: { ports: [{ name: grpc, port: 8080 }] }
`;
    const known = before.update({ objects: objects(provider) });
    const after = known.update({
      objects: objects(`
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: asked, namespace: pay }
spec: { action: CUSTOM, provider: { name: gate }, rules: [{ to: [{ operation: { methods: [PUT] } }] }] }
`),
    });
    const { changed } = impactOf(known, after);
    expect(changed.length).toBeGreaterThan(0);
    for (const { witness, differences } of changed) {
      // A port that no service names takes connections of any protocol, which have no method.
      if (!witness.url.includes(`:${unservedPort}`)) expect(witness.method).toBe('PUT');
      expect(differences).toEqual([
        { what: 'external authorization', before: '', after: 'asks provider gate' },
      ]);
    }
  });

  it('tells the requests that pass a filter of which nobody knows what it does, and settings that are not simulated', () => {
    const { changed, cuts } = impact(`
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: { name: script, namespace: pay }
spec:
  configPatches:
    - applyTo: HTTP_FILTER
      match: { context: SIDECAR_INBOUND }
      patch:
        operation: INSERT_FIRST
        value:
          name: envoy.filters.http.lua
          typed_config:
            '@type': type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua
            default_source_code: { inline_string: 'function envoy_on_request(h) end' }
`);
    expect(cuts).toEqual([]);
    expect(changed.map(({ witness }) => new URL(witness.url).host)).toContain('ledger:8080');
    for (const { differences } of changed)
      expect(differences).toEqual([
        {
          what: 'unforeseen filter',
          before: '',
          after: expect.stringMatching(/^envoy\.filters\.http\.lua \(/),
        },
      ]);
    const setting = impact(`
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: { name: setting, namespace: pay }
spec:
  configPatches:
    - applyTo: NETWORK_FILTER
      match: { context: SIDECAR_INBOUND, listener: { filterChain: { filter: { name: envoy.filters.network.http_connection_manager } } } }
      patch:
        operation: MERGE
        value:
          typed_config:
            '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
            merge_slashes: true
`);
    expect(setting.cuts).toEqual([
      'EnvoyFilter pay/setting: the effect of mergeSlashes on requests is not simulated',
    ]);
  });

  it('finds a Host that only callers of a server by its address would send', () => {
    const { changed } = impact(`
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: named, namespace: pay }
spec: { action: DENY, rules: [{ to: [{ operation: { hosts: [odd.example] } }] }] }
`);
    expect(changed.map(({ witness: { host, strangerPort } }) => [host, strangerPort])).toContainEqual([
      'odd.example',
      8080,
    ]);
  });

  it.each([
    ['pathNormalization: { normalization: MERGE_SLASHES }', 'mergeSlashes', 'pathNormalization'],
    ['pathNormalization: { normalization: NONE }', 'normalizePath', 'pathNormalization'],
    [
      'defaultConfig: { connectionSettings: { httpHeadersWithUnderscoresAction: HEADERS_WITH_UNDERSCORES_REJECT_REQUEST } }',
      'headersWithUnderscoresAction',
      'defaultConfig',
    ],
    [
      'defaultConfig: { proxyHeaders: { envoyDebugHeaders: { disabled: true } } }',
      'suppressEnvoyHeaders',
      'defaultConfig',
    ],
    [
      'defaultConfig: { proxyHeaders: { forwardedClientCert: SANITIZE } }',
      'forwardClientCertDetails',
      'defaultConfig',
    ],
    ['defaultConfig: { connectionSettings: { httpIdleTimeout: 5s } }', '', ''],
  ])('says of a setting of the mesh that it is not simulated: %s', (setting, field, by) => {
    const { cuts } = impact(`
apiVersion: v1
kind: ConfigMap
metadata: { name: istio, namespace: istio-system }
data: { mesh: '${setting}' }
`);
    expect(cuts).toEqual(
      field === '' ? [] : [`MeshConfig ${by}: the effect of ${field} on requests is not simulated`],
    );
  });

  it('reaches callers without a sidecar by a name whose endpoint turns into somebody else', () => {
    const entry = (name: string, app: string) => `
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: ${name}, namespace: pay }
spec: { address: 10.9.0.2, labels: { app: ${app} } }
`;
    const shared = before.update({
      objects: objects(`${entry('vm0', 'shared')}
---
apiVersion: v1
kind: Service
metadata: { name: shared, namespace: pay }
spec: { selector: { app: shared }, ports: [{ name: http, port: 80 }] }
---
apiVersion: v1
kind: Pod
metadata: { name: plain, namespace: shop, labels: { sidecar.istio.io/inject: 'false' } }
spec: { containers: [{ name: app }] }
`),
    });
    const { changed } = impactOf(shared, shared.update({ objects: objects(entry('vm1', 'other')) }));
    const told = changed.filter(({ witness }) => new URL(witness.url).hostname.startsWith('shared.pay'));
    expect(told.flatMap(({ senders }) => senders)).toContain('shop/plain');
    expect(told[0]?.differences).toEqual([{ what: 'destination', before: 'vm0.pay', after: 'vm1.pay' }]);
  });

  it('takes the ends of a request for the same in any order', () => {
    const grpc = outcomeWith([
      { outcome: 'fails', status: 200, grpcStatus: 14, httpStatus: 503 },
      { outcome: 'fails', status: 200, grpcStatus: 2, httpStatus: 500 },
    ]);
    const http = outcomeWith([
      { outcome: 'fails', status: 500 },
      { outcome: 'fails', status: 503 },
    ]);
    expect(classKey(grpc, grpc)).toBe(classKey(http, http));
  });

  it('takes the two ways of a TLS server to refuse plaintext for one, and other answers for what they are', () => {
    const key = (outcome: OutcomeEnd['outcome'], status: number): string => {
      const ended = outcomeWith([{ outcome, status }]);
      return classKey(ended, ended);
    };
    expect(key('denied', 502)).toBe(key('denied', 503));
    expect(key('fails', 502)).not.toBe(key('fails', 503));
  });

  it('takes an answer in a gRPC status for the one of HTTP that others get', () => {
    const after = before.update({
      objects: objects(`
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: closed, namespace: pay }
spec: { action: DENY, rules: [{}] }
`),
    });
    const web = 'shop/web-0';
    const key = (headers: Record<string, string>): string => {
      const [first, second] = [before, after].map((model) => {
        const departure = depart(model, model.workloads.get(web) as never, 'http://ledger.pay:8080');
        return outcomeOf(model, send(departure as never, { method: 'POST', path: '/a', headers }));
      });
      return classKey(first as never, second as never);
    };
    expect(key({ 'content-type': 'application/grpc' })).toBe(key({}));
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
      /the search ended: 1 requests were looked at; the last was /,
    );
  });

  it('keeps its time while it compiles and lists hosts and ports too, and says where it stopped', () => {
    const after = before.update({
      objects: objects(base.replace('- route:', '- timeout: 3s\n      route:')),
    });
    const stopped = (ms: number) => {
      const found: Impact[] = [];
      for (let asked = 0; asked < 500; asked++) {
        let times = 0;
        const one = impactOf(before, after, { timeMs: 4000, now: () => (times++ > asked ? ms : 0) });
        if (one.cuts.length === 0) break;
        found.push(one);
      }
      return found;
    };
    const listing =
      'compiling and listing took more than 3 s; not all hosts and ports that the change may concern were found';
    const ended = 'the search ended: it took more than 4 s';
    expect([...new Set(stopped(4001).flatMap(({ cuts }) => cuts))]).toEqual([
      `${ended}; no proxies were compared`,
      `${ended}; 2 of 2 proxies were not compared`,
      `${ended}; 1 of 2 proxies were not compared`,
      listing,
      `${ended}; 1 of 1 hosts and ports were not looked at`,
      `${ended}; the last was http://ledger.pay.svc.cluster.local:8080`,
    ]);
    expect([...new Set(stopped(4001).map(({ touched }) => touched.uncompared))]).toEqual([2, 1, 0]);
    // The time for listing ends earlier: what was found by then is looked at.
    const listed = stopped(3500);
    expect([...new Set(listed.flatMap(({ cuts }) => cuts))]).toEqual([listing]);
    expect(listed.at(-1)?.changed.length).toBeGreaterThan(0);
  });
});
