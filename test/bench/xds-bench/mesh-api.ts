import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { parse } from 'yaml';

/** Writes at a time while the mesh is set up. */
const concurrency = 16;

const plurals: Readonly<Record<string, string>> = {
  Namespace: 'namespaces',
  Service: 'services',
  ConfigMap: 'configmaps',
  EndpointSlice: 'endpointslices',
  VirtualService: 'virtualservices',
  DestinationRule: 'destinationrules',
};

/** The mesh's configuration API, spoken as a tool does: server-side apply over connections that stay, with the admin's certificate. */
export class MeshApi {
  readonly #server: string;
  readonly #agent: Agent;

  constructor(kubeconfig: string) {
    const { clusters, users } = JSON.parse(readFileSync(kubeconfig, 'utf8')) as {
      clusters: { cluster: Record<string, string> }[];
      users: { user: Record<string, string> }[];
    };
    const pem = (of: Record<string, string> | undefined, name: string): Buffer =>
      Buffer.from(of?.[`${name}-data`] ?? '', 'base64');
    this.#server = clusters[0]?.cluster.server ?? '';
    this.#agent = new Agent({
      keepAlive: true,
      maxSockets: concurrency,
      ca: pem(clusters[0]?.cluster, 'certificate-authority'),
      cert: pem(users[0]?.user, 'client-certificate'),
      key: pem(users[0]?.user, 'client-key'),
    });
  }

  /** Applies a YAML document; resolves when the server has acknowledged it. */
  apply(document: string): Promise<void> {
    const url = new URL(`${pathOf(document)}?fieldManager=bench&force=true`, this.#server);
    const headers = {
      'content-type': 'application/apply-patch+yaml',
      'content-length': Buffer.byteLength(document),
    };
    return new Promise((resolve, reject) => {
      const call = request(url, { method: 'PATCH', agent: this.#agent, headers }, (response) => {
        let text = '';
        // The status is the acknowledgement: the body may still be on its way.
        if (response.statusCode === 200 || response.statusCode === 201) resolve();
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          text = (text + chunk).slice(0, 2_000);
        });
        response.on('end', () => reject(new Error(`${url.pathname}: ${response.statusCode} ${text}`)));
      });
      call.on('error', reject);
      call.end(document);
    });
  }

  /** Applies many, several at a time. */
  async applyAll(documents: readonly string[]): Promise<void> {
    const waiting = [...documents];
    const worker = async (): Promise<void> => {
      for (let document = waiting.shift(); document !== undefined; document = waiting.shift())
        await this.apply(document);
    };
    await Promise.all(Array.from({ length: concurrency }, worker));
  }

  close(): void {
    this.#agent.destroy();
  }
}

function pathOf(document: string): string {
  const { apiVersion, kind, metadata } = parse(document) as {
    apiVersion: string;
    kind: string;
    metadata: { name: string; namespace?: string };
  };
  const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const namespace = metadata.namespace === undefined ? '' : `/namespaces/${metadata.namespace}`;
  return `${root}${namespace}/${plurals[kind]}/${metadata.name}`;
}
