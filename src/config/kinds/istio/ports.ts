import type { FieldPath } from '../../field-path.ts';
import { quote, type Report } from '../../report.ts';
import { isDnsLabel } from './hosts.ts';

export const PROTOCOLS = [
  'HTTP',
  'HTTP2',
  'HTTP_PROXY',
  'GRPC',
  'GRPC-WEB',
  'HTTPS',
  'TLS',
  'TCP',
  'UDP',
  'MONGO',
  'REDIS',
  'MYSQL',
  'THRIFT',
  'DUBBO',
  'ZOOKEEPER',
  'POSTGRES',
  'KAFKA',
  'HBONE',
  'DOUBLEHBONE',
] as const;

/** Known, and nothing to propose to somebody who looks for a word. */
const unusual: ReadonlySet<string> = new Set(['HTTP_PROXY', 'HBONE', 'DOUBLEHBONE']);

export type ProtocolName = (typeof PROTOCOLS)[number];

/** The protocol that a port's word means; undefined where there is none. Case and `_` do not matter. */
export function parseProtocol(word: string | undefined): ProtocolName | undefined {
  const name = (word ?? '').toUpperCase().replaceAll('_', '-');
  if (name === 'GRPC-WEB') return 'GRPC-WEB';
  return PROTOCOLS.find((protocol) => protocol === name || protocol.replaceAll('_', '-') === name);
}

export function isHttp(protocol: ProtocolName | undefined): boolean {
  return ['HTTP', 'HTTP2', 'GRPC', 'GRPC-WEB', 'HTTP_PROXY'].includes(protocol ?? '');
}

export function isTls(protocol: ProtocolName | undefined): boolean {
  return protocol === 'HTTPS' || protocol === 'TLS';
}

export function checkProtocol(report: Report, path: FieldPath, word: string | undefined): void {
  if (parseProtocol(word) === undefined)
    report.error(
      path,
      'FieldValueNotSupported',
      `${quote(word ?? '')} is no protocol; use one of ${PROTOCOLS.filter((known) => !unusual.has(known)).join(', ')}`,
    );
}

export function checkPortName(report: Report, path: FieldPath, name: string | undefined): void {
  if (name === undefined || name === '') report.required(path, 'a port needs a name');
  else if (!isDnsLabel(name))
    report.invalid(path, `${quote(name)} must be letters, digits and -, at most 63`);
}
