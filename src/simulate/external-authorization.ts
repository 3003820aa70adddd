import type { ExtAuthz } from '../../gen/proto/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.js';
import type { MetadataMatcher } from '../../gen/proto/envoy/type/matcher/v3/metadata_pb.js';
import { parseOriginId } from '../config/origin.ts';
import { metadataMatches } from './match-metadata.ts';
import { askedProvider, policyOrigin } from './policy-names.ts';
import { assume, decide, type Walk } from './walk.ts';

/** Whether an external authorizer is asked: always, or where the RBAC filter before it matched. */
export function isAsked(walk: Walk, when: MetadataMatcher | undefined): boolean {
  return when === undefined || metadataMatches(when, walk.metadata);
}

/** The rule that asks, where the authorizer refuses by assumption. */
export function verdictOf(walk: Walk, when: MetadataMatcher | undefined): string | undefined {
  const [first] = when?.path ?? [];
  const key = first?.segment.case === 'key' ? first.segment.value : '';
  const rule = String(walk.metadata[when?.filter ?? '']?.[key] ?? 'external authorization');
  const provider = askedProvider(rule) ?? 'unknown';
  const given = walk.options.verdicts?.[provider];
  decide(
    walk,
    'authorization',
    rule,
    { verdict: given === 'deny' ? 'refused' : 'asks', action: 'CUSTOM', why: `asks provider ${provider}` },
    policyOrigin(rule),
  );
  if (given === undefined) assume(walk, `provider ${provider} allows the call`);
  return given === 'deny' ? rule : undefined;
}

/** The filter of a route that asks, where its authorizer refuses by assumption. `by`: the filter, as an origin. */
export function routeVerdict(walk: Walk, by: string, config: ExtAuthz): string | undefined {
  const host = clusterOf(config)?.split('|')[3] ?? 'unknown';
  const given = walk.options.verdicts?.[host];
  const origin = parseOriginId(by);
  decide(
    walk,
    'authorization',
    by,
    { verdict: given === 'deny' ? 'refused' : 'asks', action: 'CUSTOM', why: `asks ${host}` },
    origin,
  );
  if (given === undefined) assume(walk, `${host} allows the call`);
  return given === 'deny' ? by : undefined;
}

function clusterOf({ services }: ExtAuthz): string | undefined {
  if (services.case === 'grpcService') {
    const { targetSpecifier } = services.value;
    return targetSpecifier.case === 'envoyGrpc' ? targetSpecifier.value.clusterName : undefined;
  }
  const upstream = services.case === 'httpService' ? services.value.serverUri?.httpUpstreamType : undefined;
  return upstream?.case === 'cluster' ? upstream.value : undefined;
}
