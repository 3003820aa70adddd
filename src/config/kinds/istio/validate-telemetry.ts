import type {
  TelemetryMetrics,
  TelemetrySpec,
  TelemetryTracing,
} from '../../../../gen/crd/types/istio/telemetry.ts';
import { celSyntaxProblem } from '../../cel/compile.ts';
import type { FieldPath } from '../../field-path.ts';
import type { Report } from '../../report.ts';
import { checkPolicyTarget, checkRange, each, eachEntry, specValidator } from './common.ts';
import { checkTimeout } from './durations.ts';

export const validateTelemetry = specValidator<TelemetrySpec>((spec, path, report) => {
  checkPolicyTarget(report, path, spec);
  checkTracing(report, path.field('tracing'), spec.tracing ?? []);
  each(spec.metrics, path.field('metrics'), (metrics, place) => checkMetrics(report, place, metrics));
  each(spec.accessLogging, path.field('accessLogging'), (logging, place) => {
    checkProviders(report, place, logging.providers);
    const expression = logging.filter?.expression;
    const problem = expression ? celSyntaxProblem(expression) : undefined;
    if (problem !== undefined)
      report.invalid(place.field('filter').field('expression'), `is not a CEL expression: ${problem}`);
  });
});

function checkProviders(
  report: Report,
  path: FieldPath,
  providers: readonly { name: string }[] | undefined,
): void {
  each(providers, path.field('providers'), ({ name }, place) => {
    if (name === '') report.required(place.field('name'), 'names one of meshConfig.extensionProviders');
  });
}

function checkTracing(report: Report, path: FieldPath, tracing: readonly TelemetryTracing[]): void {
  if (tracing.length > 1)
    report.warn(path, 'only the first entry is used: several tracers are not supported');
  each(tracing, path, (entry, place) => {
    checkProviders(report, place, entry.providers);
    if ((entry.providers?.length ?? 0) > 1)
      report.warn(
        place.field('providers'),
        'only the first provider is used: several tracers are not supported',
      );
    checkRange(report, place.field('randomSamplingPercentage'), entry.randomSamplingPercentage, 0, 100);
    eachEntry(entry.customTags, place.field('customTags'), (name, tag, at) => {
      if (name === '') report.invalid(at, 'a tag needs a name');
      for (const source of ['environment', 'header'] as const)
        if (tag[source]?.name === '') report.required(at.field(source).field('name'), 'is required');
      for (const source of ['literal', 'formatter'] as const)
        if (tag[source]?.value === '') report.required(at.field(source).field('value'), 'is required');
      if (!tag.environment && !tag.header && !tag.literal && !tag.formatter)
        report.required(at, 'needs literal, environment, header or formatter');
    });
  });
}

function checkMetrics(report: Report, path: FieldPath, metrics: TelemetryMetrics): void {
  checkProviders(report, path, metrics.providers);
  checkTimeout(report, path.field('reportingInterval'), metrics.reportingInterval);
  each(metrics.overrides, path.field('overrides'), (override, place) => {
    if (override.match?.customMetric === '')
      report.required(place.field('match').field('customMetric'), 'must not be empty');
    eachEntry(override.tagOverrides, place.field('tagOverrides'), (name, tag, at) => {
      if (name === '') report.invalid(at, 'a tag needs a name');
      if ((tag.operation ?? 'UPSERT') === 'UPSERT') {
        if (!tag.value) report.required(at.field('value'), 'UPSERT needs a CEL expression for the value');
      } else if (tag.value) {
        report.invalid(at.field('value'), 'REMOVE takes no value; remove it');
      }
    });
  });
}
