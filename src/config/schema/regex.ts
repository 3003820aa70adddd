import { RE2JS } from 're2js';

/** Remembers this many answers per expression: names, kinds and hosts repeat a lot, and RE2 in JavaScript is slow. */
const MAX_ANSWERS = 512;
/** Longer texts are matched without remembering. */
const MAX_REMEMBERED_LENGTH = 256;
const MAX_EXPRESSIONS = 2_000;

export interface Regex {
  /** The expression occurs somewhere in the text. */
  find(text: string): boolean;
}

const expressions = new Map<string, Regex | undefined>();

/**
 * An RE2 expression, as Kubernetes' patterns and Envoy's matchers use: a JavaScript RegExp gives other answers and may
 * run for ever. Undefined where the expression is not valid RE2.
 */
export function compileRegex(pattern: string): Regex | undefined {
  if (expressions.has(pattern)) return expressions.get(pattern);
  if (expressions.size >= MAX_EXPRESSIONS) expressions.clear();
  const regex = compile(pattern);
  expressions.set(pattern, regex);
  return regex;
}

function compile(pattern: string): Regex | undefined {
  let program: RE2JS;
  try {
    program = RE2JS.compile(pattern);
  } catch {
    return undefined;
  }
  const answers = new Map<string, boolean>();
  return {
    find(text) {
      if (text.length > MAX_REMEMBERED_LENGTH) return program.test(text);
      const known = answers.get(text);
      if (known !== undefined) return known;
      if (answers.size >= MAX_ANSWERS) answers.clear();
      const answer = program.test(text);
      answers.set(text, answer);
      return answer;
    },
  };
}
