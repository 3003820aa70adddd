import type { FieldPath } from '../field-path.ts';
import type { Report } from '../report.ts';

/** The code of warnings about ports whose protocol Envoy does not understand. */
export const protocolAsTcp = 'ProtocolAsTcp';

/** Protocols that Istio's port names know and stock Envoy has no filter for, by the word that says them. */
const withoutFilter: ReadonlyMap<string, string> = new Map([
  ['mysql', 'MySQL'],
  ['postgres', 'PostgreSQL'],
  ['postgresql', 'PostgreSQL'],
  ['kafka', 'Kafka'],
]);

/** Says of a port, by its protocol's word or a name that begins with one (`mysql-main`), that its bytes pass unread. */
export function noteProtocol(report: Report, path: FieldPath, word: string | undefined): void {
  const protocol = withoutFilter.get((word ?? '').toLowerCase().split('-')[0] ?? '');
  if (protocol === undefined) return;
  report.issues.push({
    path: path.toString(),
    severity: 'warning',
    code: protocolAsTcp,
    message: `stock Envoy has no filter for ${protocol}: connections pass as TCP, with TCP routing, policy and metrics`,
  });
}
