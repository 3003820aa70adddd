import { create } from '@bufbuild/protobuf';
import {
  type Secret,
  SecretSchema,
} from '../../gen/proto/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import type { SecretPlan } from '../plan/listener-plan.ts';

export function buildSecret(plan: SecretPlan): Secret {
  const { content } = plan;
  const inline = (value: Uint8Array) => ({ specifier: { case: 'inlineBytes' as const, value } });
  return create(SecretSchema, {
    name: plan.name,
    type:
      content.type === 'certificate'
        ? {
            case: 'tlsCertificate',
            value: {
              certificateChain: inline(content.certificate),
              privateKey: inline(content.privateKey),
            },
          }
        : {
            case: 'validationContext',
            value: {
              trustedCa: inline(content.certificates),
              ...(content.crl ? { crl: inline(content.crl) } : {}),
            },
          },
  });
}
