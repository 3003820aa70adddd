import type { HeaderMatcher, RouteMatch } from '../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import type { StringMatcher } from '../../gen/proto/envoy/type/matcher/v3/string_pb.js';
import { regexText } from './regex-automaton.ts';
import {
  containsText,
  either,
  exactText,
  followedBy,
  onceReplaced,
  prefixText,
  type TextAutomaton,
} from './text-automaton.ts';

/** A condition on one text, such as a path or the value of a header. */
export interface TextCondition {
  /** Equal conditions have equal keys. */
  readonly key: string;
  readonly automaton: TextAutomaton;
  /** Texts that meet it and read well, where they are at hand. */
  readonly samples: readonly string[];
}

type Pattern = StringMatcher['matchPattern'];

const made = new Map<string, TextCondition>();
const maxMade = 5000;

function condition(key: string, samples: readonly string[], make: () => TextAutomaton): TextCondition {
  let found = made.get(key);
  if (!found) {
    if (made.size >= maxMade) made.clear();
    found = { key, automaton: make(), samples };
    made.set(key, found);
  }
  return found;
}

/** Undefined: it asks nothing that a text could differ in. */
export function textCondition(pattern: Pattern, ignoreCase: boolean): TextCondition | undefined {
  const options = { ignoreCase };
  const key = `${pattern.case} ${ignoreCase ? 'i' : ''} ${typeof pattern.value === 'string' ? pattern.value : ''}`;
  switch (pattern.case) {
    case 'exact':
      return condition(key, [pattern.value], () => exactText(pattern.value, options));
    case 'prefix':
      return condition(key, [pattern.value], () => prefixText(pattern.value, options));
    case 'suffix':
      return condition(key, [pattern.value], () => containsText(pattern.value, { ...options, atEnd: true }));
    case 'contains':
      return condition(key, [pattern.value], () => containsText(pattern.value, options));
    case 'safeRegex':
      return regexCondition(pattern.value.regex);
    default:
      return undefined;
  }
}

function regexCondition(regex: string): TextCondition {
  return condition(`regex ${regex}`, [], () => regexText(regex));
}

/** Something of it matches an RE2 expression. */
export function foundCondition(regex: string): TextCondition {
  return regexCondition(`(?s:.*)(?:${regex})(?s:.*)`);
}

export function pathCondition({ pathSpecifier: spec, caseSensitive }: RouteMatch): TextCondition | undefined {
  const ignoreCase = caseSensitive === false;
  switch (spec.case) {
    case 'path':
      return textCondition({ case: 'exact', value: spec.value }, ignoreCase);
    case 'prefix':
      return textCondition({ case: 'prefix', value: spec.value }, ignoreCase);
    case 'safeRegex':
      return regexCondition(spec.value.regex);
    case 'pathSeparatedPrefix':
      return condition(`below ${ignoreCase} ${spec.value}`, [spec.value, `${spec.value}/x`], () =>
        either(exactText(spec.value, { ignoreCase }), prefixText(`${spec.value}/`, { ignoreCase })),
      );
    default:
      return undefined;
  }
}

/** `*` is a segment, `**` any number of characters. */
export function templateCondition(template: string): TextCondition {
  const character = "[a-zA-Z0-9\\-._~%!$&'()+,;:@=";
  const regex = template
    .split(/(\*\*|\*)/)
    .map((part) =>
      part === '**'
        ? `${character}/]*`
        : part === '*'
          ? `${character}]+`
          : part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'),
    )
    .join('');
  return condition(`template ${template}`, [template.replaceAll('**', 'x').replaceAll('*', 'x')], () =>
    regexText(regex),
  );
}

export function headerCondition({ headerMatchSpecifier: spec }: HeaderMatcher): TextCondition | undefined {
  switch (spec.case) {
    case 'stringMatch':
      return textCondition(spec.value.matchPattern, spec.value.ignoreCase);
    case 'exactMatch':
      return textCondition({ case: 'exact', value: spec.value }, false);
    case 'prefixMatch':
      return textCondition({ case: 'prefix', value: spec.value }, false);
    case 'suffixMatch':
      return textCondition({ case: 'suffix', value: spec.value }, false);
    case 'containsMatch':
      return textCondition({ case: 'contains', value: spec.value }, false);
    case 'safeRegexMatch':
      return regexCondition(spec.value.regex);
    case 'rangeMatch':
      return rangeCondition(Number(spec.value.start), Number(spec.value.end));
    default:
      return undefined;
  }
}

/** Whole numbers from `start` to below `end`: told apart by the numbers at the borders. */
function rangeCondition(start: number, end: number): TextCondition {
  const values = [start - 1, start, end - 1, end].map(String);
  return condition(`range ${start} ${end}`, values, () =>
    values.map((value) => exactText(value)).reduce((all, one) => either(all, one)),
  );
}

/** The condition on a path as it is before a route puts `replacement` in the place of its prefix `prefix`. */
export function beforeRewrite(
  original: TextCondition,
  prefix: string,
  replacement: string,
  ignoreCase: boolean,
): TextCondition {
  const { key, automaton, samples } = original;
  let { start } = automaton;
  for (const char of replacement) start = automaton.step(start, char.codePointAt(0) as number);
  const pulled = samples.flatMap((sample) =>
    sample.startsWith(replacement) ? [prefix + sample.slice(replacement.length)] : [],
  );
  return condition(`${prefix} becomes ${replacement}: ${ignoreCase} ${key}`, pulled, () =>
    followedBy(prefix, { ...bound(automaton), start }, { ignoreCase }),
  );
}

/**
 * The condition on a path as it is before a regular expression replaces parts of it; undefined: it is neither a literal nor a prefix before
 * `(.*)` that the replacement ends with.
 */
export function beforeReplacement(
  original: TextCondition,
  regex: string,
  substitution: string,
): TextCondition | undefined {
  const [, prefix] = /^\^([\w/-]*)\(\.\*\)\$?$/.exec(regex) ?? [];
  const [, replacement] = /^([^\\]*)\\1$/.exec(substitution) ?? [];
  // Paths without the prefix stay as they are: the condition itself is about those.
  if (prefix !== undefined && replacement !== undefined)
    return beforeRewrite(original, prefix, replacement, false);
  if (!/^[\w/-]+$/.test(regex) || substitution.includes('\\')) return undefined;
  const { key, automaton, samples } = original;
  const pulled = samples.map((sample) =>
    substitution === '' ? sample : sample.replaceAll(substitution, regex),
  );
  return condition(`${regex} replaced by ${substitution}: ${key}`, [...pulled, ...samples], () =>
    onceReplaced(regex, substitution, bound(automaton)),
  );
}

/** An automaton may be an object with a prototype: its methods are kept. */
function bound(automaton: TextAutomaton): TextAutomaton {
  return {
    start: automaton.start,
    step: (state, code) => automaton.step(state, code),
    accepts: (state) => automaton.accepts(state),
    isDead: (state) => automaton.isDead(state),
    isFull: (state) => automaton.isFull(state),
    borders: automaton.borders,
  };
}
