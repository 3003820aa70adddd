import type { Origin } from '../config/origin.ts';
import type { SecretPlan } from './listener-plan.ts';

/** Files on the proxy's machine, delivered as a secret that names them: Envoy watches those, and a missing one harms nothing else. */
export interface FileSecret {
  readonly name: string;
  readonly content: Extract<SecretPlan['content'], { readonly type: 'certificate-files' | 'trust-files' }>;
}

/** With the object and field that name it. */
export interface PlacedFiles extends FileSecret {
  readonly origin: Origin;
}

export function pairOfFiles(certificate: string, privateKey: string): FileSecret {
  return {
    name: `file-cert:${certificate}~${privateKey}`,
    content: { type: 'certificate-files', certificate, privateKey },
  };
}

/** `crl`: empty or absent for none. */
export function anchorsOfFiles(certificates: string, crl: string | undefined): FileSecret {
  return {
    name: `file-root:${certificates}${crl ? `~${crl}` : ''}`,
    content: { type: 'trust-files', certificates, ...(crl ? { crl } : {}) },
  };
}
