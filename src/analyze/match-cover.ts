import { deepEqual } from '../kit/deep-equal.ts';

export interface StringMatch {
  readonly exact?: string;
  readonly prefix?: string;
  readonly regex?: string;
}

type Matches = Readonly<Record<string, StringMatch>>;

/** What a match of an HTTP rule asks for; absent parts are not looked at. */
export interface HttpConditions {
  readonly uri?: StringMatch;
  readonly ignoreUriCase?: boolean;
  readonly scheme?: StringMatch;
  readonly method?: StringMatch;
  readonly authority?: StringMatch;
  readonly headers?: Matches;
  readonly withoutHeaders?: Matches;
  readonly queryParams?: Matches;
  readonly port?: number;
  readonly gateways?: readonly string[];
  readonly sourceLabels?: Readonly<Record<string, string>>;
  readonly sourceNamespace?: string;
}

/**
 * Whether every request that the narrow match takes is taken by the wide one. Says no where it cannot tell (regular expressions are
 * compared as text). `gateways`: those of the VirtualService, for matches that name none.
 */
export function matchCovers(
  wide: HttpConditions,
  narrow: HttpConditions,
  gateways: readonly string[],
): boolean {
  return (
    uriCovers(wide, narrow) &&
    (['scheme', 'method', 'authority'] as const).every((field) => stringCovers(wide[field], narrow[field])) &&
    mapCovers(wide.headers, narrow.headers) &&
    mapCovers(wide.queryParams, narrow.queryParams) &&
    Object.entries(wide.withoutHeaders ?? {}).every(([name, value]) =>
      deepEqual(value, narrow.withoutHeaders?.[name]),
    ) &&
    (!wide.port || wide.port === narrow.port) &&
    (!wide.sourceNamespace || wide.sourceNamespace === narrow.sourceNamespace) &&
    Object.entries(wide.sourceLabels ?? {}).every(([name, value]) => narrow.sourceLabels?.[name] === value) &&
    gatewaysCover(wide.gateways, narrow.gateways, gateways)
  );
}

function gatewaysCover(
  wide: readonly string[] | undefined,
  narrow: readonly string[] | undefined,
  all: readonly string[],
): boolean {
  if (!wide?.length) return true;
  return (narrow?.length ? narrow : all).every((gateway) => wide.includes(gateway));
}

function uriCovers(wide: HttpConditions, narrow: HttpConditions): boolean {
  // Every path begins so.
  if (wide.uri?.prefix === '/' || wide.uri?.prefix === '') return true;
  if (wide.uri !== undefined && (wide.ignoreUriCase ?? false) !== (narrow.ignoreUriCase ?? false))
    return false;
  return stringCovers(wide.uri, narrow.uri);
}

function mapCovers(wide: Matches = {}, narrow: Matches = {}): boolean {
  return Object.entries(wide).every(([name, match]) => {
    const other = narrow[name];
    return other !== undefined && stringCovers(match, other);
  });
}

/** A match of no kind asks for presence, which is given where there is something to compare. */
function stringCovers(wide: StringMatch | undefined, narrow: StringMatch | undefined): boolean {
  if (wide === undefined || Object.keys(wide).length === 0) return true;
  if (narrow === undefined) return false;
  if (wide.exact !== undefined) return wide.exact === narrow.exact;
  if (wide.regex !== undefined) return wide.regex === narrow.regex;
  const { prefix = '' } = wide;
  return [narrow.exact, narrow.prefix].some((text) => text?.startsWith(prefix));
}
