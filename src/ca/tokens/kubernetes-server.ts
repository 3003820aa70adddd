import { readFile } from 'node:fs/promises';
import { CodedError } from '../../kit/coded-error.ts';
import { accessOf, type ServerAccess } from '../../kit/json-request.ts';
import { readKubeconfig } from '../../kit/kubeconfig.ts';
import type { KubernetesAccess } from '../settings/identity-settings.ts';

/** Where a pod finds the API server and its own token. */
const podDirectory = '/var/run/secrets/kubernetes.io/serviceaccount';

/** The API server that settings name; in a pod, without settings, its own. Files are read anew: platforms rotate them. */
export async function kubernetesServer(
  settings: KubernetesAccess,
): Promise<{ url: string; access: ServerAccess }> {
  if (settings.kubeconfig !== undefined) {
    const found = readKubeconfig(settings.kubeconfig);
    return { url: found.server, access: accessOf(found) };
  }
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port = '443' } = process.env;
  const url =
    settings.server ?? (host ? `https://${host.includes(':') ? `[${host}]` : host}:${port}` : undefined);
  if (url === undefined)
    throw new CodedError(
      'KubernetesUnknown',
      'no Kubernetes API server is named and this is no pod: give kubeconfig or server in the identity settings',
    );
  const inPod = settings.server === undefined;
  const caFile = settings.caFile ?? (inPod ? `${podDirectory}/ca.crt` : undefined);
  const tokenFile = settings.tokenFile ?? (inPod ? `${podDirectory}/token` : undefined);
  return {
    url,
    access: {
      ...(caFile === undefined ? {} : { ca: await readFile(caFile, 'utf8') }),
      ...(tokenFile === undefined ? {} : { token: (await readFile(tokenFile, 'utf8')).trim() }),
    },
  };
}
