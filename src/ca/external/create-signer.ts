import type { ExternalAuthoritySettings } from '../settings/identity-settings.ts';
import { grpcSigner } from './grpc-signer.ts';
import { kubernetesSigner } from './kubernetes-signer.ts';
import type { ExternalSigner } from './signer.ts';
import { stepSigner } from './step-signer.ts';

/** The signer that the settings name. */
export function createSigner(settings: ExternalAuthoritySettings): ExternalSigner {
  switch (settings.type) {
    case 'grpc':
      return grpcSigner(settings);
    case 'kubernetes':
      return kubernetesSigner(settings);
    case 'step-ca':
      return stepSigner(settings);
  }
}
