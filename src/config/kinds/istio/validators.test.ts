import { describe, expect, test } from 'vitest';
import type { ConfigObject } from '../../object.ts';
import { istioValidators } from './validators.ts';

/** What a kind's rules say of a spec: `path` of each error, `~path` of each warning. */
function judge(kind: string, spec: object, metadata: object = {}): string[] {
  const validate = istioValidators[kind];
  if (!validate) throw new Error(`no rules for ${kind}`);
  const object: ConfigObject = {
    apiVersion: 'x/v1',
    kind,
    metadata: { name: 'x', namespace: 'ns', ...metadata },
    spec,
  };
  return validate(object).map(({ path, severity }) => (severity === 'error' ? path : `~${path}`));
}

type Case = [title: string, spec: object, found: string[]];

describe('VirtualService', () => {
  const kind = 'VirtualService.networking.istio.io';
  const to = (host: string, weight?: number) => ({
    destination: { host },
    ...(weight !== undefined && { weight }),
  });
  const http = (route: object) => ({ hosts: ['a.example.com'], http: [{ route: [to('a')], ...route }] });

  test.each<Case>([
    ['plain', http({}), []],
    [
      'every mistake is found at once',
      { hosts: ['ba!d'], http: [{}, { route: [to('*')] }] },
      ['spec.hosts[0]', 'spec.http[0]', 'spec.http[1].route[0].destination.host', '~spec.http[1]'],
    ],
    ['wildcard in the mesh', { hosts: ['*'], http: [{ route: [to('a')] }] }, ['spec.hosts[0]']],
    ['wildcard at a gateway', { hosts: ['*'], gateways: ['gw'], http: [{ route: [to('a')] }] }, []],
    ['overlapping hosts', { hosts: ['*.a.com', 'b.a.com'], http: [{ route: [to('a')] }] }, ['spec.hosts[1]']],
    ['no routes', { hosts: ['a'] }, ['spec']],
    ['two actions', http({ redirect: { uri: '/x' } }), ['spec.http[0]']],
    ['weights without a sum', http({ route: [to('a', 0), to('b', 0)] }), ['spec.http[0].route']],
    [
      'fault',
      http({ fault: { abort: { httpStatus: 99 }, delay: { percentage: { value: 101 } } } }),
      [
        'spec.http[0].fault.abort.httpStatus',
        'spec.http[0].fault.delay.percentage.value',
        'spec.http[0].fault.delay.fixedDelay',
      ],
    ],
    [
      'retries that are off',
      http({ retries: { attempts: 0, retryOn: '5xx' } }),
      ['spec.http[0].retries.attempts'],
    ],
    [
      'retry condition',
      http({ retries: { attempts: 1, retryOn: '5xx,maybe' } }),
      ['spec.http[0].retries.retryOn'],
    ],
    ['timeouts', http({ timeout: '0.5ms' }), ['spec.http[0].timeout']],
    ['timeout switched off', http({ timeout: '0s' }), []],
    [
      'RE2 has no lookahead',
      http({ match: [{ uri: { regex: '(?=x)' } }] }),
      ['spec.http[0].match[0].uri.regex'],
    ],
    [
      'headers',
      http({ headers: { request: { set: { ':path': 'x', 'x-a': '%BAD' } } } }),
      ['spec.http[0].headers.request.set[:path]', 'spec.http[0].headers.request.set.x-a'],
    ],
    [
      'host set twice',
      http({ rewrite: { authority: 'a' }, headers: { request: { set: { Host: 'b' } } } }),
      ['spec.http[0].headers.request.set.Host'],
    ],
    [
      'mirrors',
      http({ mirrors: [{ destination: { host: 'a' }, percentage: { value: 101 } }] }),
      ['spec.http[0].mirrors[0].percentage.value'],
    ],
    [
      'cors',
      http({ corsPolicy: { allowOrigins: [{}], allowMethods: ['FETCH'], maxAge: '1.5s' } }),
      [
        'spec.http[0].corsPolicy.allowOrigins[0]',
        'spec.http[0].corsPolicy.allowMethods[0]',
        'spec.http[0].corsPolicy.maxAge',
      ],
    ],
    [
      'unreachable route',
      { hosts: ['a'], http: [{ route: [to('a')] }, { route: [to('b')] }] },
      ['~spec.http[1]'],
    ],
    [
      'SNI of another host',
      { hosts: ['a.com'], tls: [{ match: [{ sniHosts: ['b.com'] }], route: [to('a')] }] },
      ['spec.tls[0].match[0].sniHosts[0]'],
    ],
    [
      'tcp',
      { hosts: ['a.com'], tcp: [{ match: [{ destinationSubnets: ['10.0.0.0/33'] }] }] },
      ['spec.tcp[0].match[0].destinationSubnets[0]', 'spec.tcp[0].route'],
    ],
    [
      'delegate of a delegate',
      { http: [{ delegate: { name: 'x' } }] },
      ['spec.http[0].delegate', 'spec.http[0]'],
    ],
    ['export', { ...http({}), exportTo: ['*', 'ns'] }, ['spec.exportTo']],
    ['gateway names', { ...http({}), gateways: ['ns/*'] }, ['spec.gateways[0]']],
  ])('%s', (_, spec, found) => {
    expect(judge(kind, spec)).toEqual(found);
  });
});

describe('DestinationRule', () => {
  const kind = 'DestinationRule.networking.istio.io';
  const policy = (trafficPolicy: object) => ({ host: 'a.example.com', trafficPolicy });
  const lb = (loadBalancer: object) => policy({ loadBalancer });

  test.each<Case>([
    ['plain', policy({ tls: { mode: 'ISTIO_MUTUAL' } }), []],
    ['empty policy', policy({}), ['spec.trafficPolicy']],
    [
      'port settings',
      policy({ portLevelSettings: [{ connectionPool: {} }] }),
      [
        'spec.trafficPolicy.portLevelSettings[0].port',
        'spec.trafficPolicy.portLevelSettings[0].connectionPool',
      ],
    ],
    [
      'mutual TLS without key',
      policy({ tls: { mode: 'MUTUAL', clientCertificate: 'c' } }),
      ['spec.trafficPolicy.tls.privateKey'],
    ],
    [
      'credential and files',
      policy({ tls: { mode: 'SIMPLE', credentialName: 'c', caCertificates: 'x' } }),
      ['spec.trafficPolicy.tls.caCertificates'],
    ],
    [
      'weights of localities',
      lb({ localityLbSetting: { distribute: [{ from: 'a', to: { b: 60, c: 30 } }] } }),
      ['spec.trafficPolicy.loadBalancer.localityLbSetting.distribute[0].to'],
    ],
    [
      'failover without detection',
      lb({ localityLbSetting: { failover: [{ from: 'a', to: 'b' }] } }),
      ['~spec.trafficPolicy.loadBalancer.localityLbSetting'],
    ],
    [
      'tunnel',
      policy({ tunnel: { protocol: 'GET', targetHost: '*.x', targetPort: 0 } }),
      [
        'spec.trafficPolicy.tunnel.protocol',
        'spec.trafficPolicy.tunnel.targetHost',
        'spec.trafficPolicy.tunnel.targetPort',
      ],
    ],
    [
      'subsets',
      { host: 'a', subsets: [{ name: 'v 1', labels: { 'a b': 'c' } }] },
      ['spec.subsets[0].name', 'spec.subsets[0].labels[a b]'],
    ],
    [
      'selector',
      { host: 'a', exportTo: ['ns2'], workloadSelector: { matchLabels: { a: 'b' } } },
      ['spec.exportTo[0]'],
    ],
  ])('%s', (_, spec, found) => {
    expect(judge(kind, spec)).toEqual(found);
  });
});

describe('Gateway', () => {
  const kind = 'Gateway.networking.istio.io';
  const server = (more: object, protocol = 'HTTP') => ({
    servers: [{ port: { number: 80, name: 'http', protocol }, hosts: ['*'], ...more }],
  });

  test.each<Case>([
    ['plain', server({}), []],
    ['no servers', {}, ['spec.servers']],
    ['HTTPS without TLS', server({}, 'HTTPS'), ['spec.servers[0].tls']],
    ['TLS on HTTP', server({ tls: { mode: 'SIMPLE', credentialName: 'c' } }), ['spec.servers[0].tls']],
    ['redirect on HTTP', server({ tls: { httpsRedirect: true } }), []],
    [
      'certificate missing',
      server({ tls: { mode: 'SIMPLE' } }, 'HTTPS'),
      ['spec.servers[0].tls.serverCertificate', 'spec.servers[0].tls.privateKey'],
    ],
    [
      'client authorities missing',
      server({ tls: { mode: 'MUTUAL', serverCertificate: 'a', privateKey: 'b' } }, 'HTTPS'),
      ['spec.servers[0].tls.caCertificates'],
    ],
    [
      'authorities of a certificate beside those of the server',
      server(
        {
          tls: {
            mode: 'MUTUAL',
            caCertificates: 'a',
            tlsCertificates: [{ serverCertificate: 'b', privateKey: 'c', caCertificates: 'd' }],
          },
        },
        'HTTPS',
      ),
      ['~spec.servers[0].tls.tlsCertificates[0].caCertificates'],
    ],
    [
      'authorities of two certificates',
      server(
        {
          tls: {
            mode: 'MUTUAL',
            tlsCertificates: ['a', 'b'].map((name) => ({
              ...{ serverCertificate: name, privateKey: name, caCertificates: name },
            })),
          },
        },
        'HTTPS',
      ),
      ['~spec.servers[0].tls.tlsCertificates[1].caCertificates'],
    ],
    [
      'unknown cipher',
      server({ tls: { mode: 'SIMPLE', credentialName: 'c', cipherSuites: ['ROT13'] } }, 'HTTPS'),
      ['~spec.servers[0].tls.cipherSuites[0]'],
    ],
    [
      'hosts',
      server({ hosts: ['ns/*.a.com', '*a.com', 'a/b/c', '~/x'] }),
      ['spec.servers[0].hosts[1]', 'spec.servers[0].hosts[2]', 'spec.servers[0].hosts[3]'],
    ],
    ['protocol', server({}, 'SMTP'), ['spec.servers[0].port.protocol']],
  ])('%s', (_, spec, found) => {
    expect(judge(kind, spec)).toEqual(found);
  });
});

describe('ServiceEntry', () => {
  const kind = 'ServiceEntry.networking.istio.io';
  const entry = (more: object) => ({
    hosts: ['a.example.com'],
    ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
    ...more,
  });

  test.each<Case>([
    ['plain', entry({ resolution: 'DNS' }), []],
    ['every host', entry({ hosts: ['*'] }), ['spec.hosts[0]']],
    ['wildcard by DNS', entry({ hosts: ['*.a.com'], resolution: 'DNS' }), ['spec.hosts[0]']],
    ['name by DYNAMIC_DNS', entry({ resolution: 'DYNAMIC_DNS' }), ['spec.hosts[0]']],
    [
      'static name',
      entry({ resolution: 'STATIC', endpoints: [{ address: 'a.b' }] }),
      ['spec.endpoints[0].address'],
    ],
    [
      'unknown port',
      entry({ resolution: 'STATIC', endpoints: [{ address: '1.1.1.1', ports: { grpc: 1 } }] }),
      ['spec.endpoints[0].ports.grpc'],
    ],
    ['endpoints of NONE', entry({ endpoints: [{ address: '1.1.1.1' }] }), ['spec.endpoints']],
    [
      'two for round robin',
      entry({ resolution: 'DNS_ROUND_ROBIN', endpoints: [{ address: 'a' }, { address: 'b' }] }),
      ['spec.endpoints'],
    ],
    [
      'socket',
      entry({ resolution: 'STATIC', endpoints: [{ address: 'unix://relative' }] }),
      ['spec.endpoints[0].address'],
    ],
    [
      'port twice',
      entry({
        ports: [
          { number: 80, name: 'a' },
          { number: 80, name: 'b' },
        ],
      }),
      ['spec.ports[1].number'],
    ],
    ['nobody', entry({ exportTo: ['~'] }), []],
    ['nobody and somebody', entry({ exportTo: ['~', 'ns'] }), ['spec.exportTo']],
  ])('%s', (_, spec, found) => {
    expect(judge(kind, spec)).toEqual(found);
  });
});

describe('Sidecar', () => {
  const kind = 'Sidecar.networking.istio.io';

  test.each<Case>([
    ['plain', { egress: [{ hosts: ['./*', 'istio-system/*'] }] }, []],
    ['empty', {}, ['spec']],
    ['no namespace', { egress: [{ hosts: ['a.com'] }] }, ['spec.egress[0].hosts[0]']],
    ['catch-all not last', { egress: [{ hosts: ['*/*'] }, { hosts: ['./*'] }] }, ['spec.egress[0]']],
    [
      'default endpoint',
      { ingress: [{ port: { number: 80, name: 'http', protocol: 'HTTP' }, defaultEndpoint: '10.0.0.1:80' }] },
      ['spec.ingress[0].defaultEndpoint'],
    ],
    ['exclusion', { egress: [{ hosts: ['*/*', '~ns1/*'] }] }, []],
    [
      'proxy for unknown hosts',
      { outboundTrafficPolicy: { mode: 'REGISTRY_ONLY', egressProxy: { host: 'a' } } },
      ['spec.outboundTrafficPolicy.egressProxy', 'spec.outboundTrafficPolicy.egressProxy.port'],
    ],
  ])('%s', (_, spec, found) => {
    expect(judge(kind, spec)).toEqual(found);
  });
});

describe('AuthorizationPolicy', () => {
  const kind = 'AuthorizationPolicy.security.istio.io';
  const to = (operation: object) => ({ rules: [{ to: [{ operation }] }] });
  const when = (condition: object) => ({ rules: [{ when: [condition] }] });

  test.each<Case>([
    ['deny all', {}, []],
    ['empty operation', to({}), ['spec.rules[0].to[0].operation']],
    [
      'ports',
      to({ ports: ['80', '0', 'x'] }),
      ['spec.rules[0].to[0].operation.ports[1]', 'spec.rules[0].to[0].operation.ports[2]'],
    ],
    [
      'path templates',
      to({ paths: ['/a/{*}/{**}', '/a{*}', '/{**}/{*}', '/*/{*}'] }),
      [
        'spec.rules[0].to[0].operation.paths[1]',
        'spec.rules[0].to[0].operation.paths[2]',
        'spec.rules[0].to[0].operation.paths[3]',
      ],
    ],
    [
      'addresses',
      { rules: [{ from: [{ source: { ipBlocks: ['10.0.0.0/8', '10.0'] } }] }] },
      ['spec.rules[0].from[0].source.ipBlocks[1]'],
    ],
    ['conditions', when({ key: 'request.headers[x]', values: ['a'] }), []],
    ['unknown attribute', when({ key: 'request.body', values: ['a'] }), ['spec.rules[0].when[0].key']],
    ['condition without values', when({ key: 'source.ip' }), ['spec.rules[0].when[0]']],
    ['provider of ALLOW', { provider: { name: 'p' } }, ['spec.provider']],
    ['CUSTOM without provider', { action: 'CUSTOM', rules: [{}] }, ['spec.provider.name']],
    ['HTTP attributes in DENY', { action: 'DENY', ...to({ methods: ['GET'] }) }, ['~spec.rules[0]']],
    [
      'selector and target',
      { selector: { matchLabels: { a: 'b' } }, targetRefs: [{ kind: 'Service', name: 's' }] },
      ['spec'],
    ],
    ['target', { targetRefs: [{ kind: 'Deployment', group: 'apps', name: 'd' }] }, ['spec.targetRefs[0]']],
  ])('%s', (_, spec, found) => {
    expect(judge(kind, spec)).toEqual(found);
  });

  test('a dry run is for ALLOW and DENY', () => {
    const metadata = { annotations: { 'istio.io/dry-run': 'true' } };
    expect(judge(kind, { action: 'AUDIT' }, metadata)).toEqual(['spec.action']);
    expect(judge(kind, { action: 'ALLOW' }, metadata)).toEqual([]);
  });
});

describe('other kinds', () => {
  test.each<[string, object, string[]]>([
    [
      'PeerAuthentication.security.istio.io',
      { mtls: { mode: 'STRICT' }, portLevelMtls: { 80: {} } },
      ['spec.portLevelMtls', '~spec.selector'],
    ],
    [
      'PeerAuthentication.security.istio.io',
      { selector: { matchLabels: { a: 'b' } }, portLevelMtls: { 70000: {} } },
      ['spec.portLevelMtls[70000]'],
    ],
    [
      'RequestAuthentication.security.istio.io',
      { jwtRules: [{}, { issuer: 'i', jwksUri: 'ftp://x' }] },
      ['spec.jwtRules[0]', 'spec.jwtRules[1].jwksUri'],
    ],
    [
      'RequestAuthentication.security.istio.io',
      { jwtRules: [{ issuer: 'i', outputClaimToHeaders: [{ header: 'a b', claim: '' }] }] },
      ['spec.jwtRules[0].outputClaimToHeaders[0].header', 'spec.jwtRules[0].outputClaimToHeaders[0].claim'],
    ],
    [
      'Telemetry.telemetry.istio.io',
      { accessLogging: [{ filter: { expression: 'response.code >=' } }] },
      ['spec.accessLogging[0].filter.expression'],
    ],
    [
      'Telemetry.telemetry.istio.io',
      { tracing: [{ randomSamplingPercentage: 101 }, {}] },
      ['~spec.tracing', 'spec.tracing[0].randomSamplingPercentage'],
    ],
    [
      'Telemetry.telemetry.istio.io',
      { metrics: [{ overrides: [{ tagOverrides: { a: { operation: 'REMOVE', value: 'x' } } }] }] },
      ['spec.metrics[0].overrides[0].tagOverrides.a.value'],
    ],
    ['WasmPlugin.extensions.istio.io', { url: 'ftp://x', sha256: 'ABC' }, ['spec.url', 'spec.sha256']],
    ['TrafficExtension.extensions.istio.io', {}, ['spec']],
    [
      'EnvoyFilter.networking.istio.io',
      { configPatches: [{ applyTo: 'CLUSTER', match: { listener: {} }, patch: { operation: 'MERGE' } }] },
      ['spec.configPatches[0].patch.value', 'spec.configPatches[0].match.listener'],
    ],
    [
      'WorkloadEntry.networking.istio.io',
      { address: 'a b', ports: { http: 0 } },
      ['spec.address', 'spec.ports.http'],
    ],
    ['WorkloadGroup.networking.istio.io', { template: {}, probe: {} }, ['spec.probe']],
    ['ProxyConfig.networking.istio.io', { concurrency: -1 }, ['spec.concurrency']],
  ])('%s %j', (kind, spec, found) => {
    expect(judge(kind, spec)).toEqual(found);
  });
});
