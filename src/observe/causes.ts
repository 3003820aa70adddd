import { originId } from '../config/origin.ts';
import { parseClusterName } from '../plan/names.ts';
import { policyOrigin } from '../simulate/policy-names.ts';
import { type FlagCode, isFlag, responseFlags } from '../simulate/response-flags.ts';
import type { CallRecord } from './call-record.ts';
import { answeredByApplication } from './join-calls.ts';

/** Why a call failed, in plain words. */
export interface Cause {
  /** Stable: Envoy's response flags, or a word for what has none. */
  readonly code: string;
  readonly what: string;
  readonly mend: string;
  /** Id of the origin that decided. */
  readonly decidedBy?: string;
}

/** What the flag's own words leave open: of this call, and by whom. */
type Words = (record: CallRecord) => Partial<Omit<Cause, 'code'>>;

/** The part of a name that people know: `reviews.default.svc.cluster.local:9080, subset v1`. */
export function targetOf({ upstreamCluster, authority }: CallRecord): string {
  const cluster = parseClusterName(upstreamCluster ?? '');
  if (!cluster || cluster.host === '') return authority ?? upstreamCluster ?? 'the destination';
  return `${cluster.host}:${cluster.port}${cluster.subset === '' ? '' : `, subset ${cluster.subset}`}`;
}

function by(id: string | undefined): Pick<Cause, 'decidedBy'> {
  return id === undefined ? {} : { decidedBy: id };
}

/** The client has a status and headers already. */
const inAnswer = ({ details }: CallRecord) => details?.startsWith('upstream_reset_after_response_started');

const routed = ({ route, virtualHost, chain }: CallRecord) => by(route ?? virtualHost ?? chain);
const destined = ({ upstreamOrigin, route }: CallRecord) => by(upstreamOrigin ?? route);

const authorizerFailed: Partial<Cause> = {
  what: 'the external authorizer could not be asked, and so the call is refused',
  mend: 'see that the provider runs and answers in time, or set failOpen for it',
};

const byFlag: Readonly<Record<FlagCode, Words>> = {
  UAEX: (record) => ({
    ...(record.details?.startsWith('ext_authz_error') ? authorizerFailed : {}),
    ...by(askedPolicy(record)),
  }),
  FI: routed,
  DI: routed,
  // The proxy's own limit comes from a patch, and no route has a part in it.
  RL: (record) =>
    record.details === 'local_rate_limited'
      ? {
          what: 'a rate limit of the proxy’s own refuses the call',
          mend: 'raise the limit of the EnvoyFilter that selects this workload (ostria get envoyfilters -A), or send less',
        }
      : routed(record),
  RLSE: routed,
  NR: (record) =>
    record.details === 'filter_chain_not_found'
      ? {
          what: 'no filter chain takes the connection: its server name, protocol or port is not served here',
          mend: 'call the host and port that a Gateway server or service declares; in STRICT mode only mutual TLS is taken',
          ...by(record.listener ?? record.chain),
        }
      : by(record.missed ?? record.virtualHost ?? record.chain),
  NC: (record) => ({
    what: record.upstreamCluster
      ? `the route leads to ${targetOf(record)}, which the proxy does not know`
      : `the route of ${record.authority ?? 'the request'} leads to a service or subset that the proxy does not know`,
    ...routed(record),
  }),
  UO: (record) => ({
    what: `too many connections or requests to ${targetOf(record)} at a time: the circuit breaker is open`,
    ...by(record.limits ?? record.upstreamOrigin),
  }),
  UH: (record) => ({ what: `${targetOf(record)} has no endpoint that is ready`, ...destined(record) }),
  UT: (record) => ({ what: `no answer from ${targetOf(record)} within the timeout`, ...routed(record) }),
  UF: (record) => ({ ...connectionWords(record), ...destined(record) }),
  UC: (record) => ({
    what: `${targetOf(record)} closed the connection ${inAnswer(record) ? 'in the middle of its answer' : 'before it had answered'}`,
    ...destined(record),
  }),
  UR: (record) => ({ what: `${targetOf(record)} reset the request`, ...destined(record) }),
  UPE: (record) => ({
    ...(inAnswer(record)
      ? {
          what: `${targetOf(record)} broke its answer off, or went on in a way that is no HTTP`,
          mend: 'see in the server’s log whether it ended in the middle, or sent less than its content-length',
        }
      : { what: `${targetOf(record)} answered in a way that is no HTTP` }),
    ...destined(record),
  }),
  UMSDR: routed,
  DF: (record) => ({ what: `DNS does not know ${record.authority ?? targetOf(record)}`, ...routed(record) }),
  LR: (record) => ({
    ...(record.details === undefined ? {} : { what: `the proxy reset the request: ${record.details}` }),
    ...routed(record),
  }),
  DC: () => ({}),
  DPE: () => ({}),
  SI: routed,
  DT: () => ({}),
  OM: () => ({}),
  DO: (record) => ({ what: `${targetOf(record)} is overloaded: calls are dropped`, ...destined(record) }),
  IH: () => ({}),
  URX: (record) => ({ what: `all retries to ${targetOf(record)} failed`, ...routed(record) }),
};

/** The cause of what one proxy recorded. */
export function causeOf(record: CallRecord): Cause {
  const refused = refusal(record);
  if (refused) return refused;
  if (record.type === 'connection' && record.tlsFailure !== undefined) return handshake(record);
  const flags = record.flags.filter(isFlag);
  // Retries that were used up say less than why each of them failed.
  const [told = flags[0]] = flags.filter((flag) => flag !== 'URX');
  if (told !== undefined) {
    const { meaning, mend } = responseFlags[told];
    return { code: record.flags.join(','), what: meaning, mend, ...byFlag[told](record) };
  }
  if (answeredByApplication(record))
    return {
      code: `HTTP ${record.code}`,
      what: `the application itself answered ${record.code}`,
      mend: 'look at the application’s log (ostria logs)',
      ...by(record.route),
    };
  if (record.details === 'via_upstream')
    return {
      code: `HTTP ${record.code}`,
      what: `${targetOf(record)} answered ${record.code}`,
      mend: 'look at the logs of the server',
      ...routed(record),
    };
  if (record.details === 'direct_response')
    return {
      code: `HTTP ${record.code}`,
      what: `the configuration answers ${record.code} itself`,
      mend: 'change the direct response of the route, if that is not meant',
      ...routed(record),
    };
  return {
    code: record.flags.join(',') || (record.code === undefined ? 'ended' : `HTTP ${record.code}`),
    what: `the proxy ended the call: ${record.details ?? record.end ?? 'no reason given'}`,
    mend: 'look at the proxy’s log (ostria logs -c envoy)',
    ...routed(record),
  };
}

const denied = /^rbac_access_denied_matched_policy\[(.*)\]$/s;
const badToken = /^jwt_authn_access_denied\{(.*)\}$/s;

function refusal(record: CallRecord): Cause | undefined {
  const said = record.details ?? record.end ?? '';
  const policy = denied.exec(said)?.[1] ?? denied.exec(record.end ?? '')?.[1];
  if (policy !== undefined) return deniedBy(policy);
  const token = badToken.exec(said)?.[1];
  if (token === undefined) return undefined;
  const [authentication] = record.authentications;
  return {
    code: 'JWT',
    what: `the token was refused: ${token.replaceAll('_', ' ')}`,
    mend: tokenMend(token),
    ...by(authentication),
  };
}

function deniedBy(policy: string): Cause {
  const origin = policyOrigin(policy);
  const decidedBy = origin ? { decidedBy: originId(origin) } : {};
  if (policy === 'none' || !origin)
    return {
      code: 'RBAC',
      what: 'no ALLOW policy in force lets the call in',
      mend: 'let a rule of one of them take it',
    };
  if (policy.endsWith('-deny-due-to-bad-CUSTOM-action'))
    return {
      code: 'RBAC',
      what: 'a CUSTOM policy matches whose provider cannot be asked: that is a refusal',
      mend: 'define the provider in meshConfig.extensionProviders',
      ...decidedBy,
    };
  return {
    code: 'RBAC',
    what: 'a DENY policy refuses the call',
    mend: 'take the call out of the rule that matches, if it is meant to pass',
    ...decidedBy,
  };
}

function tokenMend(reason: string): string {
  if (reason === 'Jwt_is_expired') return 'send a token that is still valid';
  if (/Jwks|remote/i.test(reason))
    return 'the issuer’s keys could not be had: see the status of the RequestAuthentication and its jwksUri';
  if (/issuer/i.test(reason)) return 'send a token of an issuer that a RequestAuthentication names';
  if (/Audience/i.test(reason)) return 'ask the issuer for a token with an audience that the rule names';
  return 'send a token that the issuer of the RequestAuthentication signed';
}

function askedPolicy({ rbac }: CallRecord): string | undefined {
  const key = Object.keys(rbac).find(
    (name) => name.startsWith('istio_ext_authz_') && name.endsWith('effective_policy_id'),
  );
  const origin = key === undefined ? undefined : policyOrigin(rbac[key] ?? '');
  return origin && originId(origin);
}

function connectionWords(record: CallRecord): Pick<Cause, 'what' | 'mend'> {
  const { upstreamFailure = '', upstreamHost } = record;
  const target = targetOf(record);
  const at = upstreamHost === undefined ? '' : ` at ${upstreamHost}`;
  if (/CERTIFICATE_VERIFY_FAILED/.test(upstreamFailure))
    return {
      what: `the certificate of ${target}${at} is not one that this client accepts`,
      mend: 'compare the server’s identity and trust domain with the ones expected (ostria proxy-config secret; subjectAltNames of the DestinationRule)',
    };
  if (/WRONG_VERSION_NUMBER|HTTP_REQUEST/.test(upstreamFailure))
    return {
      what: `TLS is spoken to ${target}${at}, which does not speak it`,
      mend: 'let trafficPolicy.tls of the DestinationRule say what the server speaks',
    };
  if (/TLS_error/.test(upstreamFailure))
    return {
      what: `the TLS handshake with ${target}${at} fails: ${readable(upstreamFailure)}`,
      mend: 'let trafficPolicy.tls of the DestinationRule and the server’s certificate fit together',
    };
  if (/refused/i.test(upstreamFailure))
    return {
      what:
        record.side === 'inbound'
          ? `the application does not listen${at}`
          : `nothing listens${at} (${target})`,
      mend: 'start the server, or let it listen on the port that it is told (PORT)',
    };
  if (/timeout/i.test(upstreamFailure))
    return {
      what: `no connection to ${target}${at} within the connect timeout`,
      mend: 'see that the address can be reached (firewall, network), or raise connectionPool.tcp.connectTimeout',
    };
  return {
    what: `no connection to ${target}${at}${upstreamFailure === '' ? '' : `: ${readable(upstreamFailure)}`}`,
    mend: 'see that the server runs and that both ends agree on TLS',
  };
}

function handshake(record: CallRecord): Cause {
  const failure = record.tlsFailure ?? '';
  const where = by(record.chain ?? record.listener);
  const code = 'TLS';
  if (/HTTP_REQUEST|WRONG_VERSION_NUMBER/.test(failure))
    return {
      code,
      what: 'a client without TLS called a port that takes mutual TLS alone',
      mend: 'call through a sidecar of the mesh, or set PeerAuthentication to PERMISSIVE for the time of a migration',
      ...where,
    };
  if (/PEER_DID_NOT_RETURN_A_CERTIFICATE/.test(failure))
    return {
      code,
      what: 'a client without a certificate of the mesh called a port that takes mutual TLS alone',
      mend: 'call through a sidecar of the mesh',
      ...where,
    };
  if (/CERTIFICATE_VERIFY_FAILED|UNKNOWN_CA|CERTIFICATE/.test(failure))
    return {
      code,
      what: 'a client’s certificate is not one that is accepted here (another authority, trust domain, or expired)',
      mend: 'renew it, or let the mesh trust its authority (ostria ca status)',
      ...where,
    };
  return {
    code,
    what: `the TLS handshake of a client fails: ${readable(failure)}`,
    mend: 'let the client speak a TLS version and cipher that are taken here',
    ...where,
  };
}

/** Envoy’s `TLS_error:|268435581:SSL_routines:OPENSSL_internal:X:TLS_error_end`, without what only OpenSSL knows. */
function readable(text: string): string {
  return text
    .replace(/\d+:SSL_routines:OPENSSL_internal:/g, '')
    .replace(/^TLS_error:\||:?TLS_error_end$/g, '')
    .replaceAll('_', ' ')
    .slice(0, 200);
}
