import { create } from '@bufbuild/protobuf';
import { HeaderValueOptionSchema } from '../../../../gen/proto/envoy/config/core/v3/base_pb.js';
import {
  type HttpConnectionManager,
  LocalReplyConfigSchema,
  type ResponseMapper,
  ResponseMapperSchema,
} from '../../../../gen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { atLeast, expression } from '../../../envoy/access-filter.ts';
import { originNamespace } from '../../../envoy/pack.ts';
import type { FilterChainPlan } from '../../../plan/listener-plan.ts';
import { read } from '../../../plan/slot.ts';
import { decidedByHeader, refusalsSlot } from './schema.ts';

/** Envoy's words for a refusal hold the name of the rule (`ruleName`); an origin is made of it as everywhere else. */
const rule = String.raw`%CEL(re.extract(response.code_details, r'^.*ns\[(.*)\]-policy\[(.*)\]-rule\[([0-9]+)\].*$', r'AuthorizationPolicy/\1/\2#spec.rules[\3]'))%`;
const noRule = `no rule of AuthorizationPolicy %METADATA(LISTENER_FILTER_CHAIN:${originNamespace}:allow)%`;
const token = `%METADATA(LISTENER_FILTER_CHAIN:${originNamespace}:tokens)% %RESPONSE_CODE_DETAILS%`;
const other = `%METADATA(ROUTE:${originNamespace}:origin)% %RESPONSE_CODE_DETAILS%`;

function mapper(filter: ResponseMapper['filter'], value: string): ResponseMapper {
  return create(ResponseMapperSchema, {
    ...(filter ? { filter } : {}),
    headersToAdd: [create(HeaderValueOptionSchema, { header: { key: decidedByHeader, value } })],
  });
}

function detailsBegin(text: string): ResponseMapper['filter'] {
  return expression(`response.code_details.startsWith('${text}')`);
}

const anyFailure = mapper(atLeast(400), other);
const outbound = create(LocalReplyConfigSchema, { mappers: [anyFailure] });
/** The first that fits. */
const inbound = create(LocalReplyConfigSchema, {
  mappers: [
    mapper(detailsBegin('rbac_access_denied_matched_policy[ns['), rule),
    mapper(detailsBegin('rbac_access_denied'), noRule),
    mapper(detailsBegin('jwt_authn'), token),
    anyFailure,
  ],
});

/** Acts on answers of Envoy's own alone: what passes through costs nothing. */
export function connectionManager(chain: FilterChainPlan, message: HttpConnectionManager): void {
  const plan = read(chain, refusalsSlot);
  if (plan === 'tell') message.localReplyConfig = chain.direction === 'inbound' ? inbound : outbound;
  if (plan === 'hide' && message.routeSpecifier.case === 'routeConfig')
    message.routeSpecifier.value.responseHeadersToRemove.push(decidedByHeader);
}
