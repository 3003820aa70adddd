import { createHash } from 'node:crypto';
import { type Clock, systemClock } from '../../kit/clock.ts';
import { messageOf } from '../../kit/coded-error.ts';
import { requestJson } from '../../kit/json-request.ts';
import type { Authentication, Authenticator } from '../authenticate.ts';
import { parseServiceAccountSubject } from '../service-account-token.ts';
import type { TokenReviewer } from '../settings/identity-settings.ts';
import { kubernetesServer } from './kubernetes-server.ts';

/** A good answer is kept so long: an agent that tries again soon does not cost the API server another question. */
const keptMs = 10_000;
const maxKept = 1_000;

/**
 * Asks a Kubernetes API server about tokens of service accounts (authentication.k8s.io/v1 TokenReview). It knows what a key cannot
 * tell: that the account, or the pod that the token is bound to, is gone.
 */
export function tokenReviewAuthenticator(
  reviewer: TokenReviewer,
  options: { trustDomain: string; clock?: Clock },
): Authenticator {
  const { trustDomain, clock = systemClock } = options;
  const kept = new Map<string, { readonly authentication: Authentication; readonly until: number }>();
  return async ({ bearerToken }) => {
    if (bearerToken?.split('.').length !== 3) return undefined;
    const key = createHash('sha256').update(bearerToken).digest('base64');
    const known = kept.get(key);
    if (known && known.until > clock.now()) return known.authentication;
    kept.delete(key);
    const authentication = await review(reviewer, bearerToken, trustDomain).catch(
      (error: unknown): Authentication => ({
        ok: false,
        reason: `the token was not reviewed: ${messageOf(error)}`,
      }),
    );
    if (authentication.ok) {
      const [oldest] = kept.keys();
      if (kept.size >= maxKept && oldest !== undefined) kept.delete(oldest);
      kept.set(key, { authentication, until: clock.now() + keptMs });
    }
    return authentication;
  };
}

interface Review {
  readonly status?: {
    readonly authenticated?: boolean;
    readonly error?: string;
    readonly user?: { readonly username?: string };
    readonly audiences?: readonly string[];
  };
}

async function review(reviewer: TokenReviewer, token: string, trustDomain: string): Promise<Authentication> {
  const { url, access } = await kubernetesServer(reviewer);
  const { status, json } = await requestJson({
    method: 'POST',
    url: `${url}/apis/authentication.k8s.io/v1/tokenreviews`,
    access,
    body: {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenReview',
      spec: { token, audiences: reviewer.audiences },
    },
  });
  if (status !== 200 && status !== 201) return refused(`the API server answers ${status}`);
  const answer = (json as Review | undefined)?.status;
  if (answer?.authenticated !== true) return refused(answer?.error || 'it is not authentic');
  // A server that does not know audiences answers without: its word is not for us then.
  if (!answer.audiences?.some((one) => reviewer.audiences.includes(one)))
    return refused('it is not for this audience');
  const account = parseServiceAccountSubject(answer.user?.username);
  if (!account) return refused('its user is no service account');
  return { ok: true, caller: { identity: { trustDomain, ...account }, credential: 'service-account-token' } };
}

function refused(reason: string): Authentication {
  return { ok: false, reason: `the token does not verify: ${reason}` };
}
