import type { Model } from '../model/model.ts';
import type { SimulationResult, Step } from '../simulate/call.ts';
import type { DecodedResources } from '../simulate/decoded-resources.ts';
import { codecError } from '../simulate/http.ts';
import { demandedTls, refusesConnection } from './demanded-tls.ts';
import { type CauseCode, flag } from './flags.ts';
import type { Hop } from './hop.ts';
import type { End } from './leaf.ts';
import { noAllowRule } from './no-allow-rule.ts';
import { whyEmpty } from './no-endpoint.ts';
import { clusterWords } from './route-decisions.ts';
import { decidedBy, listed } from './words.ts';

/** How the way ends at this proxy; undefined: it goes on. */
export function localEnd(
  model: Model,
  hop: Hop,
  resources: DecodedResources,
  result: SimulationResult,
): End | undefined {
  const refused = result.steps.findLast(({ decision }) => decision?.verdict === 'refused');
  if (refused) return refusal(model, hop, refused, result);
  if (refusesConnection(hop, result)) {
    const end = connectionRefusal(model, hop);
    return result.error === 'invalid TLS' ? { ...end, awaitsTls: true } : end;
  }
  if (result.error) return mistake(hop, resources, result);
  if (result.details === codecError) return { ...noPath(hop, 'DPE'), ...statusOf(result) };
  const answered = result.steps.findLast(({ decision }) => decision?.verdict === 'answered');
  if (answered && result.status !== undefined) return answer(model, answered, result);
  if (result.redirect)
    return {
      ...of(model, result, 'route'),
      outcome: 'answered',
      reason: `${result.redirect.code}: go to ${result.redirect.location}`,
      flags: [],
    };
  if (result.directResponse)
    return { ...of(model, result, 'route'), ...directEnd(result.directResponse.status, result) };
  if (result.status !== undefined) return unreachable(model, resources, result);
  if (result.closed) return { outcome: 'fails', reason: 'the connection is closed', flags: [] };
  return undefined;
}

type Partly = Pick<End, 'by' | 'status' | 'grpcStatus' | 'httpStatus'>;

/** Status, and what the last step of a stage was decided by. */
function of(model: Model, result: SimulationResult, stage: Step['stage']): Partly {
  const origin = result.steps.findLast((step) => step.stage === stage)?.origin;
  return { ...(origin ? { by: decidedBy(model, origin) } : {}), ...statusOf(result) };
}

function statusOf({ status, grpcStatus, httpStatus }: SimulationResult): Partly {
  return {
    ...(status === undefined ? {} : { status }),
    ...(grpcStatus === undefined ? {} : { grpcStatus }),
    ...(httpStatus === undefined ? {} : { httpStatus }),
  };
}

function refusal(model: Model, hop: Hop, refused: Step, result: SimulationResult): End {
  const { stage, origin, decision } = refused;
  const code: CauseCode =
    stage === 'authentication' ? 'JWT' : decision?.action === 'CUSTOM' ? 'UAEX' : 'RBAC';
  const { reason, by } = origin
    ? { reason: `${origin.kind} ${origin.name} refuses it`, by: decidedBy(model, origin) }
    : stage === 'authorization'
      ? noAllowRule(model, hop, refused, result)
      : { reason: '', by: undefined };
  return {
    outcome: 'denied',
    reason: stage === 'authentication' ? `its token is not accepted (${decision?.why ?? 'invalid'})` : reason,
    ...statusOf(result),
    ...(by ? { by } : {}),
    flags: [flag(code)],
  };
}

function answer(model: Model, { origin, decision, stage }: Step, result: SimulationResult): End {
  return {
    outcome: 'answered',
    reason: stage === 'fault' ? 'a fault is injected on purpose' : (decision?.why ?? 'the proxy answers'),
    ...statusOf(result),
    ...(origin ? { by: decidedBy(model, origin) } : {}),
    flags: stage === 'fault' ? [flag('FI')] : [],
  };
}

/** Answers of 5xx that a route gives by itself stand for what it cannot do, as Istio's do. */
function directEnd(status: number, result: SimulationResult): Omit<End, 'by' | 'status'> {
  if (result.virtualHost?.endsWith('block_all'))
    return {
      outcome: 'fails',
      reason: 'the host is not known, and the mesh lets nothing go to unknown hosts',
      flags: [flag('NR', 'define the host in a ServiceEntry, or set outboundTrafficPolicy to ALLOW_ANY')],
    };
  if (status >= 500) return { outcome: 'fails', reason: `the route answers ${status} by itself`, flags: [] };
  return { outcome: 'answered', reason: `the route answers ${status} by itself`, flags: [] };
}

/** The two ends do not agree on TLS: who made the server want what it wants. */
function connectionRefusal(model: Model, hop: Hop): End {
  const { mode, by, who } = demandedTls(model, hop);
  const { tls } = hop.call;
  if (mode === 'STRICT' && tls !== 'mtls')
    return {
      outcome: 'denied',
      reason: `the server takes mutual TLS only (${who}), and the connection is ${tls === 'plaintext' ? 'plaintext' : 'TLS without a certificate of the mesh'}`,
      by,
      flags: [
        flag(
          'UC',
          'let the client call through a sidecar that speaks mutual TLS, or the server be PERMISSIVE while its clients move',
        ),
      ],
    };
  if (mode === 'DISABLE' && tls === 'mtls')
    return {
      outcome: 'denied',
      reason: `the server takes plaintext only (${who}), and the connection is mutual TLS`,
      by,
      flags: [flag('UC', 'let the DestinationRule use tls mode DISABLE, or the server take mutual TLS')],
    };
  return {
    outcome: 'denied',
    reason: 'the server cannot read what the client speaks',
    flags: [flag('UC')],
  };
}

function mistake({ call }: Hop, resources: DecodedResources, result: SimulationResult): End {
  const status = statusOf(result);
  switch (result.error) {
    case 'no virtual host matched':
      return {
        outcome: 'fails',
        ...status,
        reason: `no one knows the host ${call.host ?? ''}`,
        flags: [flag('NR')],
      };
    case 'no route matched':
      return { outcome: 'fails', ...status, reason: 'no route takes the request', flags: [flag('NR')] };
    case 'tls required, sending 301':
      return {
        outcome: 'answered',
        ...status,
        reason: `the gateway wants HTTPS${result.redirect ? `: go to ${result.redirect.location}` : ''}`,
        flags: [],
      };
    case 'no listener matched':
      return { outcome: 'fails', reason: nothingListens(resources, call.port), flags: [] };
    case 'invalid TLS':
    case 'invalid mTLS':
    case 'no filter chains matched':
      return {
        outcome: 'fails',
        reason:
          call.tls === 'plaintext'
            ? `port ${call.port} wants TLS, and the connection is plaintext`
            : `nothing on port ${call.port} serves ${call.sni ?? 'this name'} by TLS`,
        flags: [flag('NR', 'add a server (or listener) for the host, with its certificate')],
      };
    case 'no cluster matched':
      return {
        outcome: 'fails',
        ...status,
        reason: `${clusterWords(result.cluster ?? '')} does not exist`,
        flags: [flag('NC')],
      };
    case 'protocol error':
      if ((call.path ?? '/').startsWith('/')) return otherProtocol(call);
      return noPath({ call }, 'UC');
    default:
      if (!(call.path ?? '/').startsWith('/')) return noPath({ call }, 'UC');
      return { outcome: 'fails', ...status, reason: result.error ?? 'it fails', flags: [] };
  }
}

/** A chain that speaks HTTP gets what is none, and says so in HTTP. */
function otherProtocol({ tls, port }: Hop['call']): End {
  const isTls = tls !== 'plaintext';
  return {
    outcome: 'fails',
    // In a TLS client's ears no answer.
    ...(isTls ? {} : { status: 400 }),
    reason: `port ${port} of the proxy takes HTTP, and this is ${isTls ? 'TLS, which it does not end' : 'another protocol'}`,
    flags: [
      flag('DPE', 'let the name of the service’s port (or its appProtocol) say which protocol it carries'),
    ],
  };
}

/** What a rewrite made of a path need not be one. */
function noPath({ call }: Pick<Hop, 'call'>, code: CauseCode): End {
  return {
    outcome: 'fails',
    reason: `${call.path} is no path, as it does not begin with /`,
    flags: [flag(code, 'let the rewrite of the route make a path that begins with /')],
  };
}

/** 503 and its like, given for a destination that is not there or has nobody. */
function unreachable(model: Model, resources: DecodedResources, result: SimulationResult): End {
  const exists = resources.cluster(result.cluster ?? '') !== undefined;
  const partly = of(model, result, exists ? 'cluster' : 'route');
  if (!exists)
    return {
      outcome: 'fails',
      ...partly,
      reason: `${clusterWords(result.cluster ?? '')} does not exist`,
      flags: [flag('NC')],
    };
  const why = whyEmpty(model, result.cluster ?? '', partly.by);
  return {
    outcome: 'fails',
    ...partly,
    reason: `the destination has no endpoint${why ? `: ${why}` : ''}`,
    flags: [flag('UH')],
  };
}

function nothingListens(resources: DecodedResources, port: number): string {
  const ports = resources.listeners().flatMap(({ address }) => {
    const socket = address?.address.case === 'socketAddress' ? address.address.value : undefined;
    return socket?.portSpecifier.case === 'portValue' ? socket.portSpecifier.value : [];
  });
  const others = [...new Set(ports)].sort((a, b) => a - b).map(String);
  const known = others.length > 0 ? `port ${listed(others, 'and')} only` : 'no port at all';
  return `nothing listens on port ${port}: the proxy listens on ${known}`;
}
