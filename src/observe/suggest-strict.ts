import type { PeerAuthenticationSpec } from '../../gen/crd/types/istio/peer-authentication.ts';
import type { ConfigObject } from '../config/object.ts';
import type { CallRecord } from './call-record.ts';
import { arrived } from './suggest-policies.ts';

export type PeerAuthentication = ConfigObject<PeerAuthenticationSpec>;

interface StrictOptions {
  readonly objects: readonly PeerAuthentication[];
  /** undefined: a gateway's, or of an unknown workload. */
  readonly namespaceOf: (record: CallRecord) => string | undefined;
  readonly rootNamespace: string;
  /** Where no object says anything. */
  readonly meshMode: string;
}

/** A STRICT PeerAuthentication for each namespace that takes plaintext though every call that was observed came with a certificate. */
export function strictWherePossible(
  records: readonly CallRecord[],
  options: StrictOptions,
): PeerAuthentication[] {
  const calls = Map.groupBy(records.filter(arrived), options.namespaceOf);
  const found: PeerAuthentication[] = [];
  for (const [namespace, own] of calls) {
    if (namespace === undefined || !isOpen(namespace, options)) continue;
    if (own.some(({ principal }) => principal === undefined)) continue;
    found.push({
      apiVersion: 'security.istio.io/v1',
      kind: 'PeerAuthentication',
      metadata: { name: 'default', namespace },
      spec: { mtls: { mode: 'STRICT' } },
    });
  }
  return found;
}

/** The mode of a namespace by its own object, else the root namespace's, else the mesh's. */
function isOpen(namespace: string, { objects, rootNamespace, meshMode }: StrictOptions): boolean {
  const modeOf = (wanted: string): string | undefined => {
    const whole = objects.find(
      ({ metadata, spec }) =>
        metadata.namespace === wanted && Object.keys(spec?.selector?.matchLabels ?? {}).length === 0,
    );
    const mode = whole?.spec?.mtls?.mode;
    return mode === 'UNSET' ? undefined : mode;
  };
  return (modeOf(namespace) ?? modeOf(rootNamespace) ?? meshMode) !== 'STRICT';
}
