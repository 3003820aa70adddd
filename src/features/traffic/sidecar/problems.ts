import type { ConfigObject } from '../../../config/object.ts';
import { splitKey } from '../../../config/object.ts';
import type { Problem } from '../../../plan/feature.ts';
import { hostKeys, isWildcard, resolveHost } from '../../../plan/hosts.ts';
import { olderTwin, type Sidecar, sidecarNamespace, sidecarOrigin } from '../../../plan/sidecar.ts';
import { servicesByHost } from '../../../snapshot/kinds.ts';
import type { View } from '../../../snapshot/view.ts';
import { virtualServicesByHost } from '../virtual-service/schema.ts';

/** What a Sidecar says in vain: an older one decides for the same workloads, or it names hosts that nothing defines. */
export function sidecarProblems(view: View, object: ConfigObject): Problem[] {
  if (object.kind !== 'Sidecar') return [];
  const sidecar = object as Sidecar;
  return [
    ...overridden(view, sidecar),
    ...unknownHosts(view, sidecar),
    ...unknownProxy(view, sidecar),
    ...boundEverywhere(sidecar),
  ];
}

function overridden(view: View, sidecar: Sidecar): Problem[] {
  const older = olderTwin(view, sidecar);
  if (older === undefined) return [];
  const whom = sidecar.spec?.workloadSelector ? 'the same workloads' : 'the whole namespace';
  return [
    {
      origin: sidecarOrigin(sidecar, ''),
      code: 'Overridden',
      message: `${splitKey(older).name} is older and for ${whom}: it alone counts; remove one of the two`,
    },
  ];
}

function unknownHosts(view: View, sidecar: Sidecar): Problem[] {
  return (sidecar.spec?.egress ?? []).flatMap(({ hosts }, listener) =>
    hosts.flatMap((text, index): Problem[] => {
      const slash = text.indexOf('/');
      const [written, host] = [text.slice(0, slash), text.slice(slash + 1)];
      if (written.startsWith('~') || isWildcard(host)) return [];
      const namespace = written === '.' ? sidecarNamespace(sidecar) : written;
      // `./` of the root namespace's Sidecar is another namespace for each workload.
      const anywhere = written === '*' || (written === '.' && namespace === view.mesh('rootNamespace'));
      if (isDefined(view, host, anywhere ? undefined : namespace)) return [];
      return [
        {
          origin: sidecarOrigin(sidecar, `spec.egress[${listener}].hosts[${index}]`),
          code: 'ReferencedHostNotFound',
          message: `nothing defines the host ${host}${anywhere ? '' : ` in namespace ${namespace}`}: it lets nothing in; write its full name, or remove it`,
        },
      ];
    }),
  );
}

/** A listener for all other ports cannot bind them all: applications on the machine want some of them. */
function boundEverywhere(sidecar: Sidecar): Problem[] {
  return (sidecar.spec?.egress ?? []).flatMap(({ port, bind = '', captureMode }, index): Problem[] =>
    captureMode !== 'NONE' || port?.number || bind.startsWith('unix://')
      ? []
      : [
          {
            origin: sidecarOrigin(sidecar, `spec.egress[${index}].captureMode`),
            code: 'NotActedOn',
            message:
              'a listener without a port takes redirected connections only: give each port that should be bound a listener of its own',
          },
        ],
  );
}

/** By a service or a virtual service of a namespace (undefined: of any). */
function isDefined(view: View, host: string, namespace: string | undefined): boolean {
  const keys = [
    ...view.list(servicesByHost, host),
    ...hostKeys(host, view.mesh('domainSuffix')).flatMap((key) => view.list(virtualServicesByHost, key)),
  ];
  return keys.some((key) => namespace === undefined || splitKey(key).namespace === namespace);
}

function unknownProxy(view: View, sidecar: Sidecar): Problem[] {
  const written = sidecar.spec?.outboundTrafficPolicy?.egressProxy?.host;
  if (written === undefined) return [];
  const host = resolveHost(written, sidecarNamespace(sidecar), view.mesh('domainSuffix'));
  if (view.list(servicesByHost, host).length > 0) return [];
  return [
    {
      origin: sidecarOrigin(sidecar, 'spec.outboundTrafficPolicy.egressProxy.host'),
      code: 'ReferencedHostNotFound',
      message: `there is no service ${host}: traffic to unknown hosts fails until it exists`,
    },
  ];
}
