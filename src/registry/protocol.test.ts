import { describe, expect, test } from 'vitest';
import { parseProtocol, servicePortProtocol } from './protocol.ts';

describe('the protocol of a service port', () => {
  test.each([
    ['http', 'HTTP'],
    ['http-web', 'HTTP'],
    ['HTTP-web', 'HTTP'],
    ['http2', 'HTTP2'],
    ['http2-admin', 'HTTP2'],
    ['https', 'HTTPS'],
    ['grpc', 'GRPC'],
    ['grpc-api', 'GRPC'],
    ['grpc-web', 'GRPCWeb'],
    ['grpc-web-ui', 'GRPCWeb'],
    ['tls-edge', 'TLS'],
    ['tcp', 'TCP'],
    ['mongo-1', 'Mongo'],
    ['redis', 'Redis'],
    ['mysql', 'MySQL'],
    ['postgresql', 'Postgres'],
    ['zookeeper', 'ZooKeeper'],
    ['httpx', 'Unsupported'],
    ['web', 'Unsupported'],
    ['', 'Unsupported'],
    // Words that every JavaScript object knows.
    ['constructor', 'Unsupported'],
    ['toString', 'Unsupported'],
  ])('by its name %j: %s', (name, protocol) => {
    expect(servicePortProtocol({ name, port: 8000 })).toBe(protocol);
  });

  test.each([
    ['kubernetes.io/h2c', 'HTTP2'],
    ['kubernetes.io/ws', 'HTTP'],
    ['kubernetes.io/wss', 'HTTPS'],
    ['grpc', 'GRPC'],
    ['grpc-web', 'GRPCWeb'],
    ['https', 'HTTPS'],
    ['tls', 'TLS'],
    ['mongo', 'Mongo'],
    ['example.com/own', 'Unsupported'],
    ['constructor', 'Unsupported'],
    ['', 'HTTP'],
  ])('by appProtocol %j, which goes before the name: %s', (appProtocol, protocol) => {
    expect(servicePortProtocol({ name: 'http', appProtocol, port: 8000 })).toBe(protocol);
  });

  test('of the transport UDP whatever the name says', () => {
    expect(servicePortProtocol({ name: 'http', protocol: 'UDP', port: 53 })).toBe('UDP');
  });

  test.each([25, 53, 853, 3306, 27_017])(
    'TCP on %i without a word, where servers speak first or last',
    (port) => {
      expect(servicePortProtocol({ name: 'any', port })).toBe('TCP');
      expect(servicePortProtocol({ name: 'http', port })).toBe('HTTP');
    },
  );
});

test('the words of ServiceEntries and Gateways', () => {
  expect(
    ['HTTP', 'GRPC-WEB', 'grpc_web', 'MONGO', 'HTTP_PROXY', 'constructor', '__proto__'].map(parseProtocol),
  ).toEqual(['HTTP', 'GRPCWeb', 'GRPCWeb', 'Mongo', 'HTTP', 'Unsupported', 'Unsupported']);
});
