import { splitKey } from '../../../../config/object.ts';
import {
  certificateValid,
  type ObjectStatusPlan,
  type PlannedCondition,
  type StatusEntry,
} from '../../../../plan/object-status.ts';
import type { Key } from '../../../../snapshot/query.ts';
import type { View } from '../../../../snapshot/view.ts';
import { gatewayAddresses } from '../addresses.ts';
import { routeCounts } from '../attachments.ts';
import { clientCertificate } from '../backend-tls.ts';
import { isOurs, ownsGatewayClass } from '../classes.ts';
import { supportedFeatures } from '../features.ts';
import { configMapKind, gatewayKind, group, listenerSetKind } from '../kinds.ts';
import {
  gatewayListeners,
  gatewayOfSet,
  isServed,
  isSetAllowed,
  type Listener,
  listenerId,
} from '../listeners.ts';
import { certificateIn, type Fault } from '../references.ts';
import { accepted, condition, resolvedRefs } from './conditions.ts';

export function gatewayClassStatus(view: View, key: Key): ObjectStatusPlan | undefined {
  if (!ownsGatewayClass(view, splitKey(key).name)) return undefined;
  return {
    conditions: [accepted(undefined, 'Gateways of this class are served by Envoys of the mesh')],
    fields: { supportedFeatures: supportedFeatures.map((name) => ({ name })) },
  };
}

export function gatewayStatus(view: View, key: Key): ObjectStatusPlan | undefined {
  if (!view.call(isOurs, key)) return undefined;
  const { addresses, services, error } = view.call(gatewayAddresses, key);
  const listeners = view.call(gatewayListeners, key);
  const unusable = error?.reason === 'UnsupportedAddress' ? error : undefined;
  const certificate = clientCertificate(view, key);
  const own = listeners.filter(({ owner }) => owner === `Gateway/${key}`);
  const sets = new Set(
    listeners
      .filter((one) => one.owner.startsWith('ListenerSet/') && isServed(one))
      .map(({ owner }) => owner),
  );
  return {
    conditions: [
      gatewayAccepted(view, key, own, unusable),
      condition(
        'Programmed',
        { reason: 'Programmed', message: `reached by ${services.join(', ') || 'no port yet'}` },
        error,
      ),
      resolvedRefs(certificate?.ok === false ? certificate : undefined),
      ...insecureMode(view, key),
    ],
    lists: { listeners: unusable ? [] : listenerEntries(view, key, own) },
    fields: {
      addresses: addresses.map(({ type, value }) => ({ type, value })),
      attachedListenerSets: unusable ? 0 : sets.size,
    },
  };
}

function gatewayAccepted(
  view: View,
  key: Key,
  own: readonly Listener[],
  unusable: Fault | undefined,
): PlannedCondition {
  const bad = own.filter((listener) => !isServed(listener) && !isPlaceholder(listener));
  if (unusable) return accepted(unusable);
  const parameters = badParameters(view, key);
  if (parameters) return accepted(parameters);
  if (bad.length === 0) return accepted(undefined);
  const message = `listeners ${bad.map(({ name }) => name).join(', ')} are not valid: their own conditions say why`;
  return {
    type: 'Accepted',
    status: bad.length === own.length ? 'False' : 'True',
    reason: 'ListenersNotValid',
    message: message.slice(0, 1_000),
  };
}

/** `infrastructure.parametersRef` names a ConfigMap of the Gateway's own namespace. */
function badParameters(view: View, key: Key): Fault | undefined {
  const ref = view.get(gatewayKind, key)?.spec?.infrastructure?.parametersRef;
  if (!ref) return undefined;
  if (ref.group !== '' || ref.kind !== 'ConfigMap')
    return {
      reason: 'InvalidParameters',
      message: `parameters of kind ${ref.kind} are unknown: a ConfigMap holds them`,
    };
  const { namespace } = splitKey(key);
  return view.get(configMapKind, `${namespace}/${ref.name}`)
    ? undefined
    : { reason: 'InvalidParameters', message: `there is no ConfigMap ${namespace}/${ref.name}` };
}

/** Clients that nobody vouches for are let in: the API wants that said aloud. */
function insecureMode(view: View, key: Key): PlannedCondition[] {
  const frontend = view.get(gatewayKind, key)?.spec?.tls?.frontend;
  const all = [frontend?.default, ...(frontend?.perPort ?? []).map(({ tls }) => tls)];
  if (!all.some((one) => one?.validation?.mode === 'AllowInsecureFallback')) return [];
  return [
    {
      type: 'InsecureFrontendValidationMode',
      status: 'True',
      reason: 'ConfigurationChanged',
      message: 'clients without a valid certificate are let in (AllowInsecureFallback)',
    },
  ];
}

const noErrors = 'no errors were found';
const placeholderNote =
  'it has no tls of its own: only server names of other listeners on its port are served, until it names certificates';

/** People who bring their listeners by ListenerSets open the port with one: nothing is wrong with it. */
function isPlaceholder({ placeholder, notAccepted, conflict, frontend }: Listener): boolean {
  return placeholder && !notAccepted && !conflict && frontend?.broken !== true;
}

function listenerEntries(view: View, gateway: Key, listeners: readonly Listener[]): StatusEntry[] {
  const counts = view.call(routeCounts, gateway);
  return listeners.map((listener) => ({
    name: listener.name,
    attachedRoutes: counts[listenerId(listener)] ?? 0,
    supportedKinds: listener.kinds.map((kind) => ({ group, kind })),
    conditions: [...listenerConditions(listener), ...certificateConditions(view, listener)],
  }));
}

/** The API has no condition for a certificate that time makes useless: clients refuse it, and its owner should hear of it. */
function certificateConditions(view: View, listener: Listener): PlannedCondition[] {
  if (!isServed(listener)) return [];
  return listener.certificates.flatMap((key) => {
    const found = view.call(certificateIn, key);
    if (!found?.ok) return [];
    const { notBefore, notAfter } = found;
    const day = (time: number): string => new Date(time).toISOString();
    const base = { type: certificateValid, status: 'False' } as const;
    return [
      {
        ...base,
        reason: 'CertificateExpired',
        message: `the certificate in Secret ${key} expired at ${day(notAfter)}: clients refuse it; renew it`,
        from: notAfter,
      },
      {
        ...base,
        reason: 'CertificateNotYetValid',
        message: `the certificate in Secret ${key} is not valid before ${day(notBefore)}: clients refuse it until then`,
        until: notBefore,
      },
    ];
  });
}

function listenerConditions(listener: Listener): PlannedCondition[] {
  const { conflict, notAccepted, unresolved } = listener;
  const placeholder = isPlaceholder(listener);
  const broken = listener.broken && !placeholder;
  const refused = conflict ?? notAccepted;
  const certificates =
    broken && !notAccepted
      ? (unresolved ?? { reason: 'Invalid', message: 'a listener that ends TLS needs tls.certificateRefs' })
      : undefined;
  return [
    condition('Accepted', { reason: 'Accepted', message: noErrors }, refused),
    conflict
      ? {
          type: 'Conflicted',
          status: 'True',
          reason: conflict.reason,
          message: conflict.message.slice(0, 1_000),
        }
      : { type: 'Conflicted', status: 'False', reason: 'NoConflicts', message: noErrors },
    condition(
      'Programmed',
      { reason: 'Programmed', message: placeholder ? placeholderNote : noErrors },
      conflict ??
        (notAccepted || certificates
          ? { reason: 'Invalid', message: (notAccepted ?? certificates)?.message ?? '' }
          : undefined),
    ),
    condition('ResolvedRefs', { reason: 'ResolvedRefs', message: noErrors }, unresolved),
  ];
}

export function listenerSetStatus(view: View, key: Key): ObjectStatusPlan | undefined {
  const set = view.get(listenerSetKind, key);
  const gateway = set && gatewayOfSet(set);
  if (gateway === undefined || !view.call(isOurs, gateway)) return undefined;
  const refuse = (error: Fault): ObjectStatusPlan => ({
    conditions: [accepted(error), condition('Programmed', { reason: 'Programmed', message: '' }, error)],
    lists: { listeners: [] },
  });
  if (!view.call(isSetAllowed, key))
    return refuse({
      reason: 'NotAllowed',
      message: `Gateway ${gateway} takes no listeners from this namespace: spec.allowedListeners there must say so`,
    });
  const { error } = view.call(gatewayAddresses, gateway);
  if (error?.reason === 'UnsupportedAddress') return refuse(error);
  const listeners = view
    .call(gatewayListeners, gateway)
    .filter(({ owner }) => owner === `ListenerSet/${key}`);
  const invalid = listeners.every((listener) => !isServed(listener));
  const notValid: Fault | undefined = invalid
    ? { reason: 'ListenersNotValid', message: 'none of the listeners is valid: their own conditions say why' }
    : undefined;
  return {
    conditions: [
      accepted(notValid),
      condition(
        'Programmed',
        { reason: 'Programmed', message: `served by Gateway ${gateway}` },
        notValid ?? error,
      ),
    ],
    lists: { listeners: listenerEntries(view, gateway, listeners) },
  };
}
