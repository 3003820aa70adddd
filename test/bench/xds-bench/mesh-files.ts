import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface MeshShape {
  readonly services: number;
  /** Endpoints of each service. */
  readonly endpoints: number;
  readonly namespaces: number;
}

export interface FileEdit {
  /** The host that it is about. */
  readonly text: string;
  readonly make: () => void;
  /** What differs from before, for those who write objects and not files. */
  readonly documents: readonly string[];
}

/** Services in one file, as a team would keep them. */
const servicesPerFile = 50;

/** Writes a mesh as YAML files and edits them: each edit replaces one file as a whole. */
export class MeshFiles {
  readonly directory: string;
  readonly #shape: MeshShape;
  readonly #moves = new Map<number, number>();
  readonly #timeouts = new Map<number, number>();
  #edits = 0;

  constructor(directory: string, shape: MeshShape) {
    this.directory = directory;
    this.#shape = shape;
  }

  namespaceOf(service: number): string {
    return `ns-${service % this.#shape.namespaces}`;
  }

  host(service: number): string {
    return `svc-${service}.${this.namespaceOf(service)}.svc.cluster.local`;
  }

  hosts(): string[] {
    return Array.from({ length: this.#shape.services }, (_, i) => this.host(i));
  }

  namespaces(): string[] {
    const namespaces = Array.from({ length: this.#shape.namespaces }, (_, i) => `ns-${i}`);
    return ['istio-system', ...namespaces].map(
      (name) => `apiVersion: v1\nkind: Namespace\nmetadata: {name: ${name}}\n`,
    );
  }

  /** Everything but the namespaces. */
  documents(): string[] {
    const found = [meshConfigMap('10s')];
    for (let i = 0; i < this.#shape.services; i += servicesPerFile)
      found.push(...this.#services(i), ...this.#allEndpoints(i), ...this.#routing(i));
    return found;
  }

  writeAll(): void {
    mkdirSync(this.directory, { recursive: true });
    this.#write('namespaces', this.namespaces());
    this.#write('mesh', [meshConfigMap('10s')]);
    for (let i = 0; i < this.#shape.services; i += servicesPerFile) {
      this.#write(`services-${i}`, this.#services(i));
      this.#write(`endpoints-${i}`, this.#allEndpoints(i));
      this.#write(`routing-${i}`, this.#routing(i));
    }
  }

  /** Changes the timeout of one VirtualService. */
  virtualServiceEdit(): FileEdit {
    const service = 5 * (++this.#edits % Math.ceil(this.#shape.services / 5));
    this.#timeouts.set(service, 3 + this.#edits);
    const file = fileOf(service);
    const all = this.#routing(file);
    const documents = [this.#virtualService(service)];
    return { text: this.host(service), documents, make: () => this.#write(`routing-${file}`, all) };
  }

  /** Gives one endpoint of a service another address. */
  endpointMove(): FileEdit {
    const service = ++this.#edits % this.#shape.services;
    this.#moves.set(service, this.#edits);
    const file = fileOf(service);
    const all = this.#allEndpoints(file);
    const documents = [this.#endpoints(service)];
    return { text: this.host(service), documents, make: () => this.#write(`endpoints-${file}`, all) };
  }

  newService(): FileEdit {
    const service = this.#shape.services + ++this.#edits;
    const documents = [this.#service(service), this.#endpoints(service)];
    return { text: this.host(service), documents, make: () => this.#write(`service-${service}`, documents) };
  }

  /** A setting that is in every cluster. */
  meshSetting(): FileEdit {
    const documents = [meshConfigMap(`${10 + ++this.#edits}s`)];
    return { text: this.host(1), documents, make: () => this.#write('mesh', documents) };
  }

  #inFile(file: number): number[] {
    const count = Math.min(servicesPerFile, this.#shape.services - file);
    return Array.from({ length: count }, (_, i) => file + i);
  }

  #services(file: number): string[] {
    return this.#inFile(file).map((i) => this.#service(i));
  }

  #allEndpoints(file: number): string[] {
    return this.#inFile(file).map((i) => this.#endpoints(i));
  }

  /** A fifth of the services have a VirtualService and a DestinationRule. */
  #routing(file: number): string[] {
    return this.#inFile(file)
      .filter((i) => i % 5 === 0)
      .flatMap((i) => [this.#virtualService(i), this.#destinationRule(i)]);
  }

  /** Written beside and renamed, so that no reader sees half a file. */
  #write(name: string, documents: readonly string[]): void {
    const path = join(this.directory, `${name}.yaml`);
    writeFileSync(`${path}.tmp`, documents.join('---\n'));
    renameSync(`${path}.tmp`, path);
  }

  #service(i: number): string {
    return `apiVersion: v1
kind: Service
metadata: {name: svc-${i}, namespace: ${this.namespaceOf(i)}, labels: {app: svc-${i}}}
spec:
  clusterIP: 10.${96 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}
  selector: {app: svc-${i}}
  ports: [{name: http, port: 80, targetPort: 8080, protocol: TCP}]
`;
  }

  #endpoints(i: number): string {
    const moves = this.#moves.get(i) ?? 0;
    const addresses = Array.from({ length: this.#shape.endpoints }, (_, n) => {
      const last = n === 0 ? moves : 0;
      return `  - {addresses: ["10.${128 + (n % 100)}.${(i >> 8) & 255}.${(i + last) & 255}"], conditions: {ready: true}}\n`;
    });
    return `apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: svc-${i}-1
  namespace: ${this.namespaceOf(i)}
  labels: {kubernetes.io/service-name: svc-${i}}
addressType: IPv4
ports: [{name: http, port: 8080, protocol: TCP}]
endpoints:
${addresses.join('')}`;
  }

  #virtualService(i: number): string {
    return `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: vs-${i}, namespace: ${this.namespaceOf(i)}}
spec:
  hosts: [${this.host(i)}]
  http:
  - timeout: ${this.#timeouts.get(i) ?? 3}s
    retries: {attempts: 3, perTryTimeout: 1s, retryOn: "5xx,connect-failure"}
    route: [{destination: {host: ${this.host(i)}, port: {number: 80}}}]
`;
  }

  #destinationRule(i: number): string {
    return `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: dr-${i}, namespace: ${this.namespaceOf(i)}}
spec:
  host: ${this.host(i)}
  trafficPolicy:
    connectionPool: {tcp: {maxConnections: 100}, http: {http1MaxPendingRequests: 50}}
    outlierDetection: {consecutive5xxErrors: 5, interval: 10s, baseEjectionTime: 30s}
`;
  }
}

function fileOf(service: number): number {
  return service - (service % servicesPerFile);
}

function meshConfigMap(connectTimeout: string): string {
  return `apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    connectTimeout: ${connectTimeout}
`;
}
