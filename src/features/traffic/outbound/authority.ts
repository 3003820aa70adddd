import { parseIp } from '../../../kit/ip.ts';
import { meantHosts } from '../../../plan/authority.ts';
import { isWildcard } from '../../../plan/hosts.ts';
import { serviceOn } from '../../../plan/service-scope.ts';
import type { Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { hostDomains, isNear } from './domains.ts';
import { extraHosts } from './extra-hosts.ts';

/**
 * The host that a name means on a port, '' for none: the reverse of hostDomains, which has the last word. `serves` tells whether a service
 * answers there.
 */
export function hostOfName(
  view: View,
  name: string,
  port: string,
  serves: (service: Key) => boolean,
): string {
  for (const host of meantHosts(view, name)) {
    const service = serviceOn(view, host, port);
    const answers = (service !== '' && serves(service)) || view.call(extraHosts).includes(`${port}|${host}`);
    if (!answers) continue;
    if (host === name || isWildcard(host) || parseIp(name)) return host;
    if (hostDomains(view, host, service, isNear(view, host)).includes(name)) return host;
  }
  return '';
}
