import type { RouteMatch } from '../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import { headerName, headerWords, metadataWords, pathWords, queryWords } from '../simulate/words.ts';

/** The conditions of a route in plain words; '' for none. */
export function matchWords(match: RouteMatch | undefined): string {
  if (!match) return '';
  const everyPath = match.pathSpecifier.case === 'prefix' && match.pathSpecifier.value === '/';
  return [
    ...(everyPath ? [] : [pathWords(match)]),
    ...match.headers.map((matcher) => `${headerName(matcher.name)} ${headerWords(matcher)}`),
    ...match.queryParameters.map((matcher) => `query parameter ${matcher.name} ${queryWords(matcher)}`),
    ...match.dynamicMetadata.map(metadataWords),
  ].join(' and ');
}
