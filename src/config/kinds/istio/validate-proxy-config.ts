import type { ProxyConfigSpec } from '../../../../gen/crd/types/istio/proxy-config.ts';
import { checkNotNegative, checkSelector, eachEntry, specValidator } from './common.ts';

export const validateProxyConfig = specValidator<ProxyConfigSpec>((spec, path, report) => {
  checkSelector(report, path.field('selector').field('matchLabels'), spec.selector?.matchLabels);
  checkNotNegative(report, path.field('concurrency'), spec.concurrency);
  eachEntry(spec.environmentVariables, path.field('environmentVariables'), (name, _, place) => {
    if (name === '') report.invalid(place, 'a variable needs a name');
  });
});
