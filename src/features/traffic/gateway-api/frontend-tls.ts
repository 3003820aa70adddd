import type { Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { gatewayKind } from './kinds.ts';
import { type Fault, resolveTrust } from './references.ts';

/** How the clients of a port prove themselves. */
export interface FrontendTrust {
  /** `ConfigMap/namespace/name`, … of the trust anchors. */
  readonly anchors: readonly Key[];
  /** Clients without a certificate, or with one that nobody vouches for, are let in too. */
  readonly insecureFallback: boolean;
  readonly unresolved?: Fault;
  /** No reference leads to an anchor: nobody could be let in, so the listener is not served. */
  readonly broken: boolean;
}

/** `spec.tls.frontend` of a Gateway for one port: the port's own settings, else the default ones. */
export function frontendTrust(
  view: View,
  namespace: string,
  gateway: Key,
  port: number,
): FrontendTrust | undefined {
  const frontend = view.get(gatewayKind, gateway)?.spec?.tls?.frontend;
  const own = frontend?.perPort?.find((one) => one.port === port);
  const validation = own ? own.tls.validation : frontend?.default.validation;
  if (!validation) return undefined;
  const resolved = validation.caCertificateRefs.map((ref) =>
    resolveTrust(view, { kind: 'Gateway', namespace }, ref, {
      kind: 'InvalidCACertificateKind',
      invalid: 'InvalidCACertificateRef',
    }),
  );
  const anchors = resolved.flatMap((one) => (one.ok ? [one.value] : []));
  const bad = resolved.find((one) => !one.ok);
  return {
    anchors,
    insecureFallback: validation.mode === 'AllowInsecureFallback',
    ...(bad?.ok === false ? { unresolved: { reason: bad.reason, message: bad.message } } : {}),
    broken: anchors.length === 0,
  };
}
