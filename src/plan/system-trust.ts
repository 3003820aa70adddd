import { anchorsOfFiles } from './file-secret.ts';

/**
 * The machine's own trust anchors, where names are compared with certificates: there Envoy wants anchors by name. The path is Debian's,
 * which Envoy's images are made of; elsewhere Envoy finds them itself.
 */
export const systemAnchors = anchorsOfFiles('/etc/ssl/certs/ca-certificates.crt', undefined);
