import type { ConfigObject } from '../../../config/object.ts';
import type { Problem } from '../../../plan/feature.ts';
import type { View } from '../../../snapshot/view.ts';
import { originIn, type VirtualService } from '../virtual-service/schema.ts';

/** Settings of retries without their number: there are none, which their author hardly meant. */
export function retryProblems(_: View, object: ConfigObject): Problem[] {
  if (object.kind !== 'VirtualService') return [];
  const service = object as VirtualService;
  return (service.spec?.http ?? []).flatMap(({ retries }, index): Problem[] =>
    retries && retries.attempts === undefined
      ? [
          {
            origin: originIn(service, `spec.http[${index}].retries`),
            code: 'RetriesWithoutAttempts',
            message:
              'without attempts nothing is sent again; say how often (attempts: 2), or attempts: 0 if that is meant',
          },
        ]
      : [],
  );
}
