import { readFile } from 'node:fs/promises';
import { pemBlocks } from '../../ca/pem.ts';
import { rootsProblem } from '../../ca/ring-source.ts';
import type { DomainTrust } from '../../ca/trust-extras.ts';
import { writeFileAtomic } from '../../kit/atomic-file.ts';
import { messageOf } from '../../kit/coded-error.ts';
import type { GuardedFetchOptions } from '../../kit/guarded-fetch.ts';
import { backoffDelay } from '../../kit/retry.ts';
import { homeTrustDomains, type MeshConfig, trustedAuthorities } from '../../registry/mesh-config.ts';
import type { CompileTarget } from '../mesh-state.ts';
import { fetchSpiffeBundle } from './spiffe-bundle.ts';

export interface TrustDomainsOptions {
  /** Told which roots speak for which trust domain; empty: the mesh's for all. */
  readonly publish: (domains: readonly DomainTrust[]) => void;
  readonly fetch?: Omit<GuardedFetchOptions, 'signal'>;
  /** Keeps what was fetched over a restart. */
  readonly cacheFile?: string;
  readonly onProblem?: (message: string) => void;
  /** Shortest and longest time between two fetches, in ms. Default 30 s and 1 h; in between the endpoint says. */
  readonly refreshMs?: { readonly min: number; readonly max: number };
}

interface Endpoint {
  readonly url: string;
  readonly ending: AbortController;
  timer: NodeJS.Timeout | undefined;
  failures: number;
}

const maxEndpoints = 100;
const defaultRefreshSeconds = 300;

/**
 * Follows `caCertificates` of the mesh's settings: roots of other trust domains, given or fetched from their bundle endpoints. What was
 * fetched last stays in use while an endpoint fails.
 */
export class TrustDomains implements CompileTarget {
  readonly #options: TrustDomainsOptions;
  readonly #endpoints = new Map<string, Endpoint>();
  /** PEM by URL. */
  readonly #fetched = new Map<string, string>();
  #mesh: MeshConfig | undefined;
  #published = '[]';
  #saving: Promise<void> = Promise.resolve();

  constructor(options: TrustDomainsOptions) {
    this.#options = options;
  }

  /** Reads the last run's bundles; a file that cannot be read counts as absent. */
  async load(): Promise<void> {
    if (this.#options.cacheFile === undefined) return;
    try {
      const stored = JSON.parse(await readFile(this.#options.cacheFile, 'utf8')) as Record<string, string>;
      for (const [url, pem] of Object.entries(stored))
        if (typeof pem === 'string') this.#fetched.set(url, pem);
    } catch {
      // The next fetch writes it anew.
    }
  }

  apply(): void {}

  setMesh(mesh: MeshConfig): void {
    this.#mesh = mesh;
    const urls = new Set(trustedAuthorities(mesh).flatMap(({ spiffeBundleUrl: url }) => url ?? []));
    for (const [url, endpoint] of this.#endpoints)
      if (!urls.has(url)) {
        stop(endpoint);
        this.#endpoints.delete(url);
        this.#fetched.delete(url);
      }
    for (const url of [...urls].slice(0, maxEndpoints)) if (!this.#endpoints.has(url)) this.#follow(url);
    if (urls.size > maxEndpoints)
      this.#options.onProblem?.(`caCertificates: only ${maxEndpoints} bundle endpoints are followed`);
    this.#publish();
  }

  async close(): Promise<void> {
    for (const endpoint of this.#endpoints.values()) stop(endpoint);
    await this.#saving;
  }

  #follow(url: string): void {
    const endpoint: Endpoint = { url, ending: new AbortController(), timer: undefined, failures: 0 };
    this.#endpoints.set(url, endpoint);
    void this.#fetch(endpoint);
  }

  async #fetch(endpoint: Endpoint): Promise<void> {
    const { url, ending } = endpoint;
    const { min, max } = this.#options.refreshMs ?? { min: 30_000, max: 3_600_000 };
    let wait: number;
    try {
      const bundle = await fetchSpiffeBundle(url, { ...this.#options.fetch, signal: ending.signal });
      if (ending.signal.aborted) return;
      endpoint.failures = 0;
      this.#fetched.set(url, bundle.roots);
      this.#save();
      this.#publish();
      const hint = (bundle.refreshHint ?? defaultRefreshSeconds) * 1000;
      wait = Math.min(max, Math.max(min, hint)) * (0.9 + 0.1 * Math.random());
    } catch (error) {
      if (ending.signal.aborted) return;
      if (endpoint.failures === 0)
        this.#options.onProblem?.(
          `the trust bundle ${url}: ${messageOf(error)}${this.#fetched.has(url) ? '; the last one stays in use' : ''}`,
        );
      wait = backoffDelay(endpoint.failures++, { initialMs: min / 10, maxMs: Math.max(min, 60_000) });
    }
    endpoint.timer = setTimeout(() => void this.#fetch(endpoint), wait).unref();
  }

  #publish(): void {
    if (!this.#mesh) return;
    const domains = this.#domains(this.#mesh);
    const text = JSON.stringify(domains);
    if (text === this.#published) return;
    this.#published = text;
    this.#options.publish(domains);
  }

  #domains(mesh: MeshConfig): DomainTrust[] {
    const home = homeTrustDomains(mesh);
    const roots = new Map<string, Set<string>>();
    for (const { pem, spiffeBundleUrl, trustDomains } of trustedAuthorities(mesh)) {
      const text = spiffeBundleUrl === undefined ? pem : (this.#fetched.get(spiffeBundleUrl) ?? '');
      const problem = text === '' ? undefined : rootsProblem(text, Date.now());
      if (problem) this.#options.onProblem?.(`caCertificates: ${problem}`);
      const usable = text === '' || problem ? [] : pemBlocks(text);
      for (const domain of trustDomains.length > 0 ? trustDomains : home) {
        const known = roots.get(domain) ?? new Set();
        for (const one of usable) known.add(one);
        roots.set(domain, known);
      }
    }
    if (roots.size === 0) return [];
    return [...new Set([...home, ...roots.keys()])]
      .map((trustDomain) => ({
        trustDomain,
        roots: [...(roots.get(trustDomain) ?? [])].join(''),
        meshRoots: home.includes(trustDomain),
      }))
      .filter(({ roots: own, meshRoots }) => own !== '' || meshRoots);
  }

  #save(): void {
    const { cacheFile, onProblem } = this.#options;
    if (cacheFile === undefined) return;
    this.#saving = this.#saving.then(() =>
      writeFileAtomic(cacheFile, JSON.stringify(Object.fromEntries(this.#fetched))).catch((error: unknown) =>
        onProblem?.(`trust bundles cannot be kept: ${messageOf(error)}`),
      ),
    );
  }
}

function stop(endpoint: Endpoint): void {
  endpoint.ending.abort();
  clearTimeout(endpoint.timer);
}
