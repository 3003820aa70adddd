import { findCaller } from '../../../explain/caller.ts';
import type { Question } from '../../../explain/question.ts';
import { parseTarget } from '../../../explain/target.ts';
import type { Model } from '../../../model/model.ts';
import { objectsOfKind } from '../../../model/model-objects.ts';
import type { Journey } from '../../../request-space/journey.ts';

/** Why a request cannot be sent through real Envoys here; undefined: it can. */
export function skipReason(model: Model, question: Question, journey: Journey): string | undefined {
  const target = parseTarget(question.url);
  const caller = findCaller(model, question.from);
  if (!target.ok || !caller.ok) return 'it cannot be asked about';
  if (target.value.scheme !== 'http' || target.value.http2) return 'only http:// is sent';
  if (question.claims) return `needs a token of ${issuersOf(model)}, whose signing key only they have`;
  if (question.as !== undefined) return 'only the own identity of a workload is proved';
  if (!caller.value.at.proxy) return `${question.from} has no sidecar`;
  const strange = journey.passed.find(
    ({ hop }) => hop.proxy.type !== 'sidecar' && hop.proxy.type !== 'router',
  );
  if (strange) return `${strange.hop.at.key} is a ${strange.hop.proxy.type}`;
  const asksOutside = journey.passed.some(({ result }) =>
    result.steps.some(({ decision }) => decision?.action === 'CUSTOM' && decision.verdict !== 'observed'),
  );
  if (asksOutside) return 'an external authorizer has a say, and there is none here';
  if (journey.passed.some(({ result }) => (result.fault?.abort?.percent ?? 100) < 100))
    return 'a fault strikes some of the requests only';
  if (journey.leaves.some(({ end, workload }) => end.outcome === 'delivered' && workload === undefined))
    return 'it leaves the mesh, and no test leaves the machine';
  return undefined;
}

function issuersOf(model: Model): string {
  const issuers = [...objectsOfKind(model.objects, 'security.istio.io/RequestAuthentication')].flatMap(
    ({ spec }) =>
      ((spec as { jwtRules?: { issuer?: string }[] } | undefined)?.jwtRules ?? []).flatMap(
        ({ issuer }) => issuer ?? [],
      ),
  );
  return [...new Set(issuers)].join(' or ') || 'an issuer';
}
