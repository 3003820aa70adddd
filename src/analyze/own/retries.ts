import { parseDuration } from '../../plan/duration.ts';
import { type AnalysisView, type Analyzer, type Item, kinds } from '../analyzer.ts';
import type { HttpRule, VirtualServiceSpec } from '../virtual-service-spec.ts';

/** Conditions under which the server may have done its work already. */
const afterTheFact =
  /^(5xx|gateway-error|reset|retriable-4xx|retriable-headers|retriable-status-codes|http3-post-connect-failure|\d{3})$/;
/** Methods that mean the same when they are sent twice (RFC 9110, section 9.2.2). */
const idempotent: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);

/** OST0101 and OST0102: retries that may do something twice, and retries for which no time is left. */
export const retryAnalyzer: Analyzer = {
  name: 'ostria.RetryAnalyzer',
  perObject: true,
  inputs: [kinds.virtualService],
  analyze: (view) => {
    for (const service of view.all<VirtualServiceSpec>(kinds.virtualService))
      for (const [index, rule] of (service.spec.http ?? []).entries())
        checkRule(view, service, rule, `spec.http[${index}]`);
  },
};

function checkRule(view: AnalysisView, service: Item<unknown>, rule: HttpRule, path: string): void {
  const { retries, timeout } = rule;
  if (!retries?.attempts) return;
  const risky = (retries.retryOn ?? '').split(',').filter((one) => afterTheFact.test(one.trim()));
  if (risky.length > 0 && !onlyIdempotent(rule)) {
    const message = `retries on ${risky.join(', ')} send requests again that the server may have carried out, POST among them: a payment can be made twice; give GET a rule of its own (match.method), or retry on connect-failure,refused-stream,unavailable`;
    view.report('OST0101', service, message, `${path}.retries.retryOn`);
  }
  const whole = parseDuration(timeout);
  const each = parseDuration(retries.perTryTimeout);
  if (whole && each && each >= whole) {
    const message = `a try may take ${retries.perTryTimeout}, and the whole call ${timeout}: a try that times out leaves no time for another; make perTryTimeout at most ${timeout} divided by the number of tries`;
    view.report('OST0102', service, message, `${path}.retries.perTryTimeout`);
  }
}

function onlyIdempotent({ match = [] }: HttpRule): boolean {
  return match.length > 0 && match.every(({ method }) => idempotent.has(method?.exact?.toUpperCase() ?? ''));
}
