import type { DestinationRuleSpec } from '../../../../gen/crd/types/istio/destination-rule.ts';
import type { FieldPath } from '../../field-path.ts';
import { quote, type Report } from '../../report.ts';
import { checkExportTo, checkLabels, checkSelector, each, specValidator } from './common.ts';
import { checkSubsetName } from './destinations.ts';
import { checkWildcardDomain } from './hosts.ts';
import { checkTrafficPolicy } from './traffic-policy.ts';

export const validateDestinationRule = specValidator<DestinationRuleSpec>((spec, path, report) => {
  // The CRD lets an object without a spec pass.
  checkWildcardDomain(report, path.field('host'), spec.host ?? '');
  checkTrafficPolicy(report, path.field('trafficPolicy'), spec.trafficPolicy);
  checkSubsets(report, path.field('subsets'), spec);
  checkExportTo(report, path.field('exportTo'), spec.exportTo);
  checkWorkloadSelector(report, path, spec);
});

function checkSubsets(report: Report, path: FieldPath, spec: DestinationRuleSpec): void {
  const names = new Set<string>();
  each(spec.subsets, path, (subset, place) => {
    if (subset.name === '') report.required(place.field('name'), 'a subset needs a name');
    else checkSubsetName(report, place.field('name'), subset.name);
    if (names.has(subset.name))
      report.warn(place.field('name'), `another subset is named ${quote(subset.name)}`);
    names.add(subset.name);
    checkLabels(report, place.field('labels'), subset.labels);
    checkTrafficPolicy(report, place.field('trafficPolicy'), subset.trafficPolicy);
  });
}

/** A rule for certain clients stays in their namespace. */
function checkWorkloadSelector(report: Report, path: FieldPath, spec: DestinationRuleSpec): void {
  const labels = spec.workloadSelector?.matchLabels;
  if (!labels) return;
  checkSelector(report, path.field('workloadSelector').field('matchLabels'), labels);
  each(spec.exportTo, path.field('exportTo'), (value, place) => {
    if (value !== '.')
      report.invalid(place, 'a rule with a workloadSelector is exported to its own namespace only: use .');
  });
}
