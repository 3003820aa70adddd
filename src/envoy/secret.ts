import { create } from '@bufbuild/protobuf';
import {
  type Secret,
  SecretSchema,
} from '../../gen/proto/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import type { SecretPlan } from '../plan/listener-plan.ts';

export function buildSecret(plan: SecretPlan): Secret {
  return create(SecretSchema, { name: plan.name, type: typeOf(plan.content) });
}

function typeOf(content: SecretPlan['content']) {
  if (content.type === 'certificate' || content.type === 'certificate-files')
    return {
      case: 'tlsCertificate' as const,
      value: {
        certificateChain: source(content.certificate),
        privateKey: source(content.privateKey),
        ...(content.type === 'certificate-files' ? watched(content.certificate) : {}),
      },
    };
  return {
    case: 'validationContext' as const,
    value: {
      trustedCa: source(content.certificates),
      ...(content.crl ? { crl: source(content.crl) } : {}),
      ...(content.type === 'trust-files' ? watched(content.certificates) : {}),
    },
  };
}

function source(value: Uint8Array | string) {
  return typeof value === 'string'
    ? { specifier: { case: 'filename' as const, value } }
    : { specifier: { case: 'inlineBytes' as const, value } };
}

/** Whatever is renamed into the directory has Envoy read the files again: certificate and key together, and links too. */
function watched(path: string) {
  const end = path.lastIndexOf('/');
  return { watchedDirectory: { path: end < 0 ? '.' : path.slice(0, end) || '/' } };
}
