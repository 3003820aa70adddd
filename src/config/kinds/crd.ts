import { rootPath } from '../field-path.ts';
import type { Issue, Kind, KindVersion, StructuralSchema } from '../kind.ts';
import type { ConfigObject } from '../object.ts';
import { createReport, quote, type Report } from '../report.ts';
import { checkStructural } from '../schema/check-structural.ts';

interface CrdVersion {
  name: string;
  served: boolean;
  storage: boolean;
  deprecated?: boolean;
  schema?: { openAPIV3Schema?: StructuralSchema };
  subresources?: { status?: unknown; scale?: unknown };
  additionalPrinterColumns?: KindVersion['printerColumns'];
}

interface CrdSpec {
  group: string;
  scope: 'Namespaced' | 'Cluster';
  names: { kind: string; plural: string; singular?: string; shortNames?: string[]; categories?: string[] };
  versions: CrdVersion[];
  conversion?: { strategy?: string };
  preserveUnknownFields?: boolean;
}

const NAME = /^[a-z]([-a-z0-9]*[a-z0-9])?$/;

/** Rules of CustomResourceDefinitions beyond their schema; above all that each version's schema is structural. */
export function validateCrd(object: ConfigObject): Issue[] {
  const report = createReport();
  const spec = object.spec as CrdSpec;
  const path = rootPath.field('spec');
  const name = `${spec.names.plural}.${spec.group}`;
  if (object.metadata.name !== name)
    report.invalid(rootPath.field('metadata').field('name'), `must be <plural>.<group>: ${quote(name)}`);
  if (!spec.group.includes('.')) report.invalid(path.field('group'), 'must be a domain, such as example.com');
  if (!NAME.test(spec.names.plural))
    report.invalid(
      path.field('names').field('plural'),
      `${quote(spec.names.plural)} must be a lower case word`,
    );
  if (!/^[A-Za-z][A-Za-z0-9]*$/.test(spec.names.kind))
    report.invalid(
      path.field('names').field('kind'),
      `${quote(spec.names.kind)} must be a word such as CronTab`,
    );
  if (spec.preserveUnknownFields)
    report.invalid(
      path.field('preserveUnknownFields'),
      'must be false: use x-kubernetes-preserve-unknown-fields in the schema',
    );
  if (spec.conversion?.strategy === 'Webhook')
    report.error(
      path.field('conversion').field('strategy'),
      'FieldValueNotSupported',
      'conversion webhooks are not called; use None and one schema for all versions',
    );
  validateVersions(spec.versions, report);
  return report.issues;
}

function validateVersions(versions: readonly CrdVersion[], report: Report): void {
  const path = rootPath.field('spec').field('versions');
  const storage = versions.filter((version) => version.storage).length;
  if (storage !== 1) report.invalid(path, `exactly one version must have storage: true, but ${storage} have`);
  const seen = new Set<string>();
  for (const [i, version] of versions.entries()) {
    const place = path.index(i);
    if (seen.has(version.name))
      report.error(place.field('name'), 'FieldValueDuplicate', `${quote(version.name)} is there twice`);
    seen.add(version.name);
    if (!NAME.test(version.name))
      report.invalid(place.field('name'), `${quote(version.name)} must be like v1beta1`);
    checkStructural(version.schema?.openAPIV3Schema, place.field('schema').field('openAPIV3Schema'), report);
  }
}

/** The kind that a valid CustomResourceDefinition describes. Stored: nothing of ours acts on it. */
export function kindFromCrd(object: ConfigObject): Kind {
  const spec = object.spec as CrdSpec;
  const { names } = spec;
  return {
    group: spec.group,
    kind: names.kind,
    plural: names.plural,
    singular: names.singular ?? names.kind.toLowerCase(),
    shortNames: names.shortNames ?? [],
    categories: names.categories ?? [],
    namespaced: spec.scope === 'Namespaced',
    versions: spec.versions.map((version) => ({
      name: version.name,
      served: version.served,
      storage: version.storage,
      ...(version.deprecated && { deprecated: true }),
      schema: version.schema?.openAPIV3Schema ?? { type: 'object' },
      printerColumns: version.additionalPrinterColumns ?? [
        { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
      ],
      statusSubresource: version.subresources?.status !== undefined,
    })),
    behaviour: 'stored',
  };
}
