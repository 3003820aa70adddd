import type { ConfigObject } from '../../../config/object.ts';
import type { Problem } from '../../../plan/feature.ts';
import type { View } from '../../../snapshot/view.ts';
import { originIn, type VirtualService } from '../virtual-service/schema.ts';
import { shareOf } from './plan.ts';

/** A fault without a share strikes nobody, which its author hardly meant; a share of 0 switches it off. */
export function faultProblems(_: View, object: ConfigObject): Problem[] {
  if (object.kind !== 'VirtualService') return [];
  const service = object as VirtualService;
  return (service.spec?.http ?? []).flatMap(({ fault }, index) =>
    (['delay', 'abort'] as const).flatMap((kind): Problem[] => {
      const one = fault?.[kind];
      if (!one || one.percentage || shareOf(one) > 0) return [];
      return [
        {
          origin: originIn(service, `spec.http[${index}].fault.${kind}`),
          code: 'FaultWithoutShare',
          message: `the ${kind} strikes no request, as it has no percentage; for every request: percentage: {value: 100}`,
        },
      ];
    }),
  );
}
