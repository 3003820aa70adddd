import type { MetadataMatcher } from '../../gen/proto/envoy/type/matcher/v3/metadata_pb.js';
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
