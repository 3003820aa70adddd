import { messageOf } from '../../kit/coded-error.ts';
import type { ApiClient } from '../api/api-client.ts';
import { proxiesOf } from '../proxy/mesh-proxies.ts';

/** A certificate that an Envoy holds. */
export interface HeldCertificate {
  /** `own`: what it shows to others; `root`: what it trusts. */
  readonly what: 'own' | 'root';
  /** SPIFFE identities and host names in it. */
  readonly names: readonly string[];
  readonly serial: string;
  /** RFC 3339. */
  readonly notBefore: string;
  readonly notAfter: string;
}

interface CertificateFacts {
  readonly serial_number?: string;
  readonly subject_alt_names?: readonly { readonly uri?: string; readonly dns?: string }[];
  readonly valid_from?: string;
  readonly expiration_time?: string;
}

interface Certificates {
  readonly certificates?: readonly {
    readonly ca_cert?: readonly CertificateFacts[];
    readonly cert_chain?: readonly CertificateFacts[];
  }[];
}

/** What the Envoys of workloads (`namespace/name`) hold, as their admin interfaces tell it; a text says why nothing is known. */
export async function certificatesOf(
  client: ApiClient,
  workloads: readonly string[],
): Promise<ReadonlyMap<string, readonly HeldCertificate[] | string>> {
  const proxies = proxiesOf(client.access, client);
  const here = await proxies.names().catch((): readonly string[] => []);
  const found = new Map<string, readonly HeldCertificate[] | string>();
  for (const key of workloads) {
    const name = key.slice(key.indexOf('/') + 1);
    if (!here.includes(name)) found.set(key, 'its Envoy runs on another machine than the control plane');
    else
      try {
        found.set(key, parseCertificates(JSON.parse(await proxies.ask(name, '/certs')) as Certificates));
      } catch (error) {
        found.set(key, messageOf(error));
      }
  }
  return found;
}

/** Each certificate once: Envoy tells of one for every cluster and listener that has it. */
export function parseCertificates({ certificates = [] }: Certificates): HeldCertificate[] {
  const found = new Map<string, HeldCertificate>();
  const take = (what: HeldCertificate['what'], facts: readonly CertificateFacts[] = []): void => {
    for (const { serial_number: serial = '', subject_alt_names: names = [], ...times } of facts)
      if (!found.has(`${what} ${serial}`))
        found.set(`${what} ${serial}`, {
          what,
          names: names.flatMap(({ uri, dns }) => uri ?? dns ?? []),
          serial,
          notBefore: times.valid_from ?? '',
          notAfter: times.expiration_time ?? '',
        });
  };
  for (const { cert_chain, ca_cert } of certificates) {
    take('own', cert_chain);
    take('root', ca_cert);
  }
  return [...found.values()].sort((a, b) =>
    a.what === b.what ? (a.notAfter < b.notAfter ? -1 : 1) : a.what === 'own' ? -1 : 1,
  );
}
