import type { StatusShaper } from '../../../plan/feature.ts';
import { resolveHost } from '../../../plan/hosts.ts';
import type { ObjectStatusPlan } from '../../../plan/object-status.ts';
import { readCertificate } from '../../../plan/read-certificate.ts';
import { portsOf, serviceFor } from '../../../plan/service-scope.ts';
import { configKind } from '../../../snapshot/kinds.ts';
import type { Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import {
  allIngresses,
  backendsOf,
  type Ingress,
  ingressKind,
  ingressSettings,
  isOurIngress,
} from '../ingress/schema.ts';
import { credentialObject } from './credentials.ts';

const serviceObjectKind = configKind<{ readonly externalIPs?: readonly string[] }>('Service');

interface ServiceStatus {
  readonly loadBalancer?: { readonly ingress?: readonly unknown[] };
}

/** Where the gateways' Service is reached from outside: Ingresses are, there. */
function addresses(view: View): readonly unknown[] {
  const { service } = view.call(ingressSettings);
  const object = view.get(serviceObjectKind, `${view.mesh('rootNamespace')}/${service}`);
  const { loadBalancer } = (object?.status ?? {}) as ServiceStatus;
  return loadBalancer?.ingress ?? (object?.spec?.externalIPs ?? []).map((ip) => ({ ip }));
}

function planStatus(view: View, key: Key): ObjectStatusPlan | undefined {
  const ingress = view.get(ingressKind, key);
  if (!ingress || !view.call(isOurIngress, key)) return undefined;
  const problems = [...secretProblems(view, ingress), ...backendProblems(view, ingress)];
  return {
    fields: { loadBalancer: { ingress: addresses(view) } },
    conditions: [
      problems.length === 0
        ? { type: 'Accepted', status: 'True', reason: 'Accepted', message: 'every rule leads somewhere' }
        : {
            type: 'Accepted',
            status: 'False',
            reason: problems[0]?.reason ?? '',
            message: problems.map(({ message }) => message).join('; '),
          },
    ],
  };
}

interface IngressProblem {
  readonly reason: string;
  readonly message: string;
}

/** Gateways look in their own namespace: the root namespace, where nothing else is said. */
function secretProblems(view: View, ingress: Ingress): IngressProblem[] {
  const namespace = view.mesh('rootNamespace');
  return (ingress.spec?.tls ?? []).flatMap(({ secretName }, index): IngressProblem[] => {
    if (!secretName) return [];
    const at = `spec.tls[${index}].secretName`;
    const object = credentialObject(view, secretName, namespace);
    if (!object)
      return [
        {
          reason: 'CredentialNotFound',
          message: `${at}: there is no Secret ${namespace}/${secretName}, where gateways in ${namespace} look: its hosts take no TLS`,
        },
      ];
    const reading = readCertificate(object);
    if (reading.ok) return [];
    return [
      {
        reason: 'InvalidCertificate',
        message: `${at}: Secret ${namespace}/${secretName} cannot be used, ${reading.why}: its hosts take no TLS`,
      },
    ];
  });
}

function backendProblems(view: View, ingress: Ingress): IngressProblem[] {
  return backendsOf(ingress).flatMap(({ backend, path }): IngressProblem[] => {
    const { service } = backend;
    if (!service)
      return [
        {
          reason: 'NotActedOn',
          message: `${path}: only service backends are served; requests are answered 500`,
        },
      ];
    const host = resolveHost(
      service.name,
      ingress.metadata.namespace ?? 'default',
      view.mesh('domainSuffix'),
    );
    const known = view.call(serviceFor, host);
    const { number, name } = service.port ?? {};
    const found =
      known !== '' &&
      view.call(portsOf, known).some((port) => (number ? port.port === number : port.name === name));
    if (found) return [];
    return [
      {
        reason: 'ReferencedHostNotFound',
        message: `${path}: there is no service ${host} with port ${number || name}: requests are answered 500`,
      },
    ];
  });
}

export const ingressStatus: StatusShaper = {
  kind: 'networking.k8s.io/Ingress',
  all: allIngresses,
  plan: planStatus,
};
