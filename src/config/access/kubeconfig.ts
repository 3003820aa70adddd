import { writeFileAtomic } from '../../kit/atomic-file.ts';
import type { IssuedCertificate } from './api-pki.ts';

export interface KubeconfigOptions {
  /** `https://127.0.0.1:6443`. */
  server: string;
  /** The API's authority, PEM. */
  authorityPem: string;
  credential: IssuedCertificate | { token: string };
  /** Name of cluster and context. Default `ostria`. */
  cluster?: string;
  /** Name of the user entry. Default `admin`. */
  user?: string;
  /** Namespace of the context. Default `default`. */
  namespace?: string;
}

/** A kubeconfig as JSON, which is YAML too. Holds a secret: write it 0600 only. */
export function buildKubeconfig(options: KubeconfigOptions): string {
  const { cluster = 'ostria', user = 'admin', namespace = 'default', credential } = options;
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  const secret =
    'token' in credential
      ? { token: credential.token }
      : {
          'client-certificate-data': base64(credential.certificatePem),
          'client-key-data': base64(credential.keyPem),
        };
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: cluster,
        cluster: { server: options.server, 'certificate-authority-data': base64(options.authorityPem) },
      },
    ],
    users: [{ name: user, user: secret }],
    contexts: [{ name: cluster, context: { cluster, user, namespace } }],
    'current-context': cluster,
    preferences: {},
  };
  return `${JSON.stringify(config, undefined, 2)}\n`;
}

/** Writes a kubeconfig with embedded credentials, readable by its owner only (0600), in one step. */
export function writeKubeconfig(path: string, options: KubeconfigOptions): Promise<void> {
  return writeFileAtomic(path, buildKubeconfig(options), 0o600);
}
