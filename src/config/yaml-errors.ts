import type { ErrorCode, YAMLParseError } from 'yaml';

/** How to mend what the parser found. Its own words say what and where; these say what to do. */
const hints: Partial<Record<ErrorCode, string>> = {
  TAB_AS_INDENT: 'YAML is indented with spaces; replace the tab',
  BAD_INDENT: 'check brackets that are left open, and align the line with its neighbours of the same level',
  MULTILINE_IMPLICIT_KEY: 'a key must stand on one line; check the indentation and quotes around it',
  BLOCK_AS_IMPLICIT_KEY: 'a second ": " on one line starts a nested map; put the value in quotes',
  MISSING_CHAR: 'check for a missing quote, bracket, comma or colon on this line or the one before',
  UNEXPECTED_TOKEN: 'check the indentation and quotes here',
  KEY_OVER_1024_CHARS: 'shorten the key',
  BAD_ALIAS: 'name the anchor after *, or put the text in quotes if it is no alias',
  BAD_DQ_ESCAPE: 'in double quotes a backslash starts an escape; double it, or use single quotes',
  BAD_SCALAR_START: 'put the value in quotes',
  BAD_DIRECTIVE: 'only %YAML and %TAG lines may start with %',
  TAG_RESOLVE_FAILED: 'remove the tag',
};

/** A parser's error as our code and a sentence that says how to mend it. */
export function describeYamlError(error: YAMLParseError): { code: string; message: string } {
  // The parser turns an exhausted stack into an error of its own.
  if (error.message.includes('call stack')) {
    return {
      code: 'YamlTooDeep',
      message: 'the document is nested too deeply to be read; flatten the value',
    };
  }
  const what = error.message.replace(/[.:\s]+$/, '');
  const said =
    what.charAt(0).toLowerCase() +
    what.slice(1).replace('"quote', 'double quote').replace("'quote", 'single quote');
  const hint = hints[error.code] ?? 'mend the syntax here';
  return { code: 'YamlSyntax', message: `not valid YAML: ${said}; ${hint}` };
}
