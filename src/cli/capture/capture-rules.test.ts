import { expect, test } from 'vitest';
import { captureRules } from './capture-rules.ts';

test('everything but the proxy’s own, loopback and the agent’s ports, for both families', () => {
  const rules = captureRules();
  expect(rules).toContain(`table ip ostria_capture
delete table ip ostria_capture
table ip ostria_capture {
  chain output {
    type nat hook output priority -100;
    oifname "lo" ip saddr 127.0.0.6 return
    meta skgid 1337 oifname "lo" ip daddr != 127.0.0.0/8 tcp dport != { 15001, 15006, 22, 15008, 15020, 15021, 15090 } redirect to :15006
    meta skgid 1337 return
    oifname "lo" return
    meta l4proto tcp redirect to :15001
  }
  chain prerouting {
    type nat hook prerouting priority -100;
    iifname "lo" return
    tcp dport { 15001, 15006, 22, 15008, 15020, 15021, 15090 } return
    meta l4proto tcp redirect to :15006
  }
}`);
  expect(rules).toContain('table ip6 ostria_capture {');
});

test('what is excluded goes before what is included; each family has its own addresses', () => {
  const rules = captureRules({
    includeInboundPorts: [8080],
    excludeInboundPorts: [8081],
    includeOutboundPorts: [80],
    excludeOutboundPorts: [3306, 5432],
    includeOutboundRanges: ['10.0.0.0/8', 'fd00::/8'],
    excludeOutboundRanges: ['10.9.0.0/16'],
  });
  const [v4 = '', v6 = ''] = rules.split('table ip6 ostria_capture {');
  const order = [
    'tcp dport { 3306, 5432 } return',
    'ip daddr { 10.9.0.0/16 } return',
    'tcp dport { 80 } redirect to :15001',
    'ip daddr { 10.0.0.0/8 } meta l4proto tcp redirect to :15001',
    '8081 } return',
    '\n    tcp dport { 8080 } redirect to :15006',
  ];
  const places = order.map((rule) => v4.indexOf(rule));
  expect(places).toEqual([...places].sort((a, b) => a - b));
  expect(places[0]).toBeGreaterThan(0);
  expect(v6).toContain('ip6 daddr { fd00::/8 } meta l4proto tcp redirect to :15001');
  expect(v6).toContain('oifname "lo" ip6 saddr ::6 return');
  expect(v6).toContain('oifname "lo" ip6 daddr != ::1 tcp dport { 8080 } redirect to :15006');
  expect(v6).not.toContain('10.9.0.0');
  expect(rules).not.toContain('    meta l4proto tcp redirect');
});

test('DNS goes to the agent where it answers, resolvers on loopback included; the proxy’s own queries pass', () => {
  const rules = captureRules({ dnsPort: 15_053, families: ['IPv4'] });
  const order = [
    'meta skgid 1337 return',
    'udp dport 53 redirect to :15053',
    'tcp dport 53 redirect to :15053',
    'oifname "lo" return',
  ];
  const places = order.map((rule) => rules.indexOf(rule));
  expect(places).toEqual([...places].sort((a, b) => a - b));
  expect(places[0]).toBeGreaterThan(0);
});
