import type { CertificateAuthority } from '../ca/authority.ts';
import type { AuthorityRing } from '../ca/authority-ring.ts';
import { issueWithNewKey, keepServerCertificate, type ServerCertificate } from '../ca/server-certificate.ts';
import type { Clock } from '../kit/clock.ts';

/** The name that agents expect in the control plane's certificate. */
const controlPlaneName = 'istiod.istio-system.svc';

export interface OwnCertificateOptions {
  readonly ring: Pick<AuthorityRing, 'forServers' | 'onChange'>;
  /** Address that the control plane listens on. */
  readonly host: string;
  readonly warn: (message: string) => void;
  readonly clock?: Clock;
}

/** The control plane's own certificate: another one at half life, and as soon as somebody else signs for servers. */
export class OwnCertificate {
  readonly #options: OwnCertificateOptions;
  readonly #names: ReturnType<typeof namesFor>;
  #issuer: CertificateAuthority;
  #current: ServerCertificate;
  #stopKeeping = (): void => {};
  #unfollow = (): void => {};

  private constructor(
    options: OwnCertificateOptions,
    issuer: CertificateAuthority,
    current: ServerCertificate,
  ) {
    this.#options = options;
    this.#issuer = issuer;
    this.#names = namesFor(options.host);
    this.#current = current;
  }

  static async issue(options: OwnCertificateOptions): Promise<OwnCertificate> {
    const issuer = options.ring.forServers;
    return new OwnCertificate(options, issuer, await issueWithNewKey(issuer, namesFor(options.host)));
  }

  get current(): ServerCertificate {
    return this.#current;
  }

  /** `changed` is told when there is another certificate, and when roots changed. */
  keep(changed: () => void): void {
    const { ring } = this.#options;
    const renewIfMoved = (): boolean => {
      if (ring.forServers === this.#issuer) return false;
      this.#issuer = ring.forServers;
      this.#renew(changed, 0);
      return true;
    };
    if (!renewIfMoved()) this.#renew(changed);
    this.#unfollow = ring.onChange(() => {
      if (!renewIfMoved()) changed();
    });
  }

  close(): void {
    this.#unfollow();
    this.#stopKeeping();
  }

  /** `dueMs`: when the next one is due; absent: at half life. */
  #renew(changed: () => void, dueMs?: number): void {
    const { warn, clock } = this.#options;
    this.#stopKeeping();
    this.#stopKeeping = keepServerCertificate({
      authority: this.#issuer,
      names: this.#names,
      current: this.#current,
      ...(dueMs === undefined ? {} : { dueMs }),
      use: (certificate) => {
        this.#current = certificate;
        changed();
      },
      warn,
      ...(clock ? { clock } : {}),
    });
  }
}

function namesFor(host: string) {
  const everywhere = host === '0.0.0.0' || host === '::';
  const addresses = new Set(['127.0.0.1', '::1', ...(everywhere ? [] : [host])]);
  return {
    dnsNames: [controlPlaneName, 'istiod.istio-system', 'localhost'],
    ipAddresses: [...addresses].filter((address) => /^[\d.]+$|:/.test(address)),
    usages: ['server'] as const,
  };
}
