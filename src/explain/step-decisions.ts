import type { Step } from '../simulate/call.ts';
import { demandedTls, refusesConnection } from './demanded-tls.ts';
import type { Decision, Lost, Stage } from './explanation.ts';
import type { Hop } from './hop.ts';
import {
  clusterWords,
  count,
  missDecision,
  type RouteContext,
  routeDecision,
  routeExtras,
  virtualHostDecision,
} from './route-decisions.ts';
import { decidedBy, round } from './words.ts';

/** The decisions of one proxy, in the order in which it took them. */
export function stepDecisions(hop: Hop, context: RouteContext): Decision[] {
  const { result } = context;
  const inbound = hop.role === 'server' && (result.routeConfig ?? 'inbound|').startsWith('inbound|');
  const decisions = result.steps.flatMap((step): Decision[] => {
    switch (step.stage) {
      case 'listener':
        return [base(context, step, 'listener', listenerWords(hop, step.name))];
      case 'filter-chain':
        return [chainDecision(hop, context, step)];
      case 'virtual-host':
        return inbound ? [] : [virtualHostDecision(context, step)];
      case 'route':
        return inbound ? [] : [routeDecision(context, step), ...routeExtras(context)];
      case 'cluster':
        return hop.role === 'server' ? [] : [base(context, step, 'cluster', clusterText(context, step.name))];
      case 'route-configuration':
        return [];
      default:
        return step.decision ? [policyDecision(context, step)] : [];
    }
  });
  if (result.misses) decisions.push(missDecision(context));
  return decisions;
}

function base({ model, at }: RouteContext, step: Step, stage: Stage, what: string): Decision {
  return {
    at,
    stage,
    name: step.name,
    what,
    ...(step.origin ? { by: decidedBy(model, step.origin) } : {}),
    lost: [],
  };
}

function listenerWords({ role }: Hop, name: string): string {
  if (name === 'virtualOutbound')
    return 'no listener is for this address and port: it is a connection to somewhere else';
  if (role === 'server') return 'what is redirected into the workload comes in here';
  return `listener ${name} takes it`;
}

function chainDecision(hop: Hop, context: RouteContext, step: Step): Decision {
  const { role, call } = hop;
  const { name } = step;
  const tls = call.tls === 'plaintext' ? 'plaintext' : call.tls === 'mtls' ? 'mutual TLS' : 'TLS';
  if (!refusesConnection(hop, context.result)) {
    // What a client wraps in TLS itself is bytes to its sidecar, whatever is in it.
    const isHttp = call.protocol !== 'tcp' && context.result.routeConfig !== undefined;
    const what = `takes ${isHttp ? 'HTTP' : 'a connection'} in ${tls}`;
    const words = role === 'server' ? `port ${call.port} ${what} (${name})` : `${name} ${what}`;
    return base(context, step, 'filter-chain', words);
  }
  const { mode, by } = demandedTls(context.model, hop);
  const wanted =
    mode === 'STRICT' ? 'mutual TLS only' : mode === 'DISABLE' ? 'plaintext only' : 'something else';
  return {
    ...base(
      context,
      step,
      'filter-chain',
      `refused: port ${call.port} takes ${wanted}, and this is ${tls} (${name})`,
    ),
    by,
  };
}

function clusterText({ result }: RouteContext, name: string): string {
  const weighted = (result.weightedClusters ?? []).filter(({ weight }) => weight > 0);
  if (weighted.length < 2) return `the destination is ${clusterWords(name)}`;
  const total = weighted.reduce((sum, { weight }) => sum + weight, 0);
  const parts = weighted.map(
    ({ cluster, weight }) => `${round((weight * 100) / total)} % ${clusterWords(cluster)}`,
  );
  return `the destination is chosen at random: ${parts.join('; ')}`;
}

const policyStages: Partial<Record<Step['stage'], Stage>> = {
  authentication: 'authentication',
  authorization: 'authorization',
  fault: 'fault',
  'rate-limit': 'rate-limit',
  cors: 'direct-response',
};

function policyDecision(context: RouteContext, step: Step): Decision {
  const { decision } = step;
  const stage =
    decision?.action === 'CUSTOM' ? 'external-authorization' : (policyStages[step.stage] ?? 'authorization');
  const told = decision?.verdict === 'refused' || decision?.wouldAllow === false;
  const lost = (told ? (step.alternatives?.() ?? []) : []).map(
    ({ name, origin, why }): Lost => ({
      what: origin ? `rule ${ruleOf(origin.path)}of ${origin.kind} ${origin.name}` : name,
      why,
      ...(origin ? { by: decidedBy(context.model, origin) } : {}),
    }),
  );
  return { ...base(context, step, stage, policyWords(step)), lost };
}

function ruleOf(path: string): string {
  const match = /rules\[(\d+)\]/.exec(path);
  return match ? `${match[1]} ` : '';
}

function policyWords({ stage, name, decision, origin }: Step): string {
  if (!decision) return name;
  const { verdict, action, why, wouldAllow, candidates } = decision;
  const policy = origin ? `${origin.kind} ${origin.name}` : name;
  if (stage === 'authorization') {
    if (wouldAllow !== undefined) return `dry run: ${policy} would ${wouldAllow ? 'let it in' : 'refuse it'}`;
    if (action === 'CUSTOM') return `${policy} ${why ?? 'asks an external authorizer'}`;
    if (verdict === 'refused' && (name === 'none' || candidates))
      return `refused: ${count(candidates?.length ?? 0, 'ALLOW rule')} ${candidates?.length === 1 ? 'applies' : 'apply'} here, and none matches`;
    if (verdict === 'refused') return `refused: a ${action} rule of ${policy} matches`;
    return `${verdict === 'observed' ? 'noted' : 'let in'}: ${action === 'ALLOW' ? 'an' : 'a'} ${action} rule of ${policy} matches`;
  }
  const head = verdict === 'refused' ? 'refused' : verdict === 'answered' ? 'answered' : verdict;
  return `${head}${why ? `: ${why}` : ''}`;
}
