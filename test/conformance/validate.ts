import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Issue, KindRegistry } from '../../src/config/kind.ts';
import { createBuiltInRegistry } from '../../src/config/kinds/built-in-kinds.ts';
import { validateMeshConfig } from '../../src/config/kinds/istio/validate-mesh-config.ts';
import { validateMeshNetworks } from '../../src/config/kinds/istio/validate-mesh-networks.ts';
import type { ConfigObject } from '../../src/config/object.ts';
import { admitSchema } from '../../src/config/schema/admit-schema.ts';
import type { CaseOutcome } from './group.ts';

interface RecordedCase {
  kind: string;
  name: string;
  resource: Record<string, unknown>;
  valid: boolean;
  layer: 'webhook' | 'crd' | 'crd+webhook';
  crdAccepts?: boolean;
}

/** Judges each recorded resource: its schema first, then the rules of its kind. */
export function runValidate(folder: string): CaseOutcome[] {
  const cases = JSON.parse(readFileSync(join(folder, 'validate/cases.json'), 'utf8')) as RecordedCase[];
  const kinds = createBuiltInRegistry();
  return cases.map((one) => runCase(kinds, one));
}

function runCase(
  kinds: KindRegistry,
  { kind, name, resource, valid, crdAccepts }: RecordedCase,
): CaseOutcome {
  // Where the schema alone refuses, the peer's own rules never see the object.
  const expected = valid && crdAccepts !== false;
  const errors = judge(kinds, kind, resource).filter((issue) => issue.severity === 'error');
  if ((errors.length === 0) === expected) return { name, outcome: 'passed' };
  const why = expected
    ? `refused: ${errors.map((error) => `${error.path}: ${error.message}`).join('; ')}`
    : 'accepted, but should be refused';
  return { name, outcome: 'failed', why };
}

function judge(kinds: KindRegistry, kind: string, resource: Record<string, unknown>): readonly Issue[] {
  if (kind === 'MeshConfig') return validateMeshConfig(resource);
  if (kind === 'MeshNetworks') return validateMeshNetworks(resource);
  const object = resource as unknown as ConfigObject;
  const [group = '', version = ''] = object.apiVersion.split('/');
  const known = kinds.byKind(group, kind);
  const found = known && kinds.byResource(group, version, known.plural);
  if (!found) return [{ path: 'kind', severity: 'error', code: 'NotFound', message: 'is no known kind' }];
  const verdict = admitSchema({ ...found, object, old: undefined });
  if (verdict.issues.length > 0) return verdict.issues;
  return found.kind.validate?.(verdict.object) ?? [];
}
