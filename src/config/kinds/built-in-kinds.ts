import type { Kind, KindRegistry } from '../kind.ts';
import { accessKinds } from './core/access-kinds.ts';
import { networkKinds } from './core/network-kinds.ts';
import { storedKinds } from './core/stored-kinds.ts';
import { generatedKinds } from './generated.ts';
import { istioValidators } from './istio/validators.ts';
import { createKindRegistry } from './registry.ts';

/** Every kind that the API serves without anybody's CRD: Istio's, Gateway API's and Kubernetes' own. */
export function builtInKinds(): Kind[] {
  return [...generatedKinds(istioValidators), ...networkKinds, ...storedKinds, ...accessKinds];
}

/** A registry with all built-in kinds; users' CRDs are added by `define`. */
export function createBuiltInRegistry(): KindRegistry {
  return createKindRegistry(builtInKinds());
}
