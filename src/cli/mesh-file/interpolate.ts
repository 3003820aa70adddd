const variable =
  /\$(?:\$|(?<plain>[A-Za-z_]\w*)|\{(?<name>[A-Za-z_]\w*)(?:(?<operator>:?[-?+])(?<word>[^}]*))?\}|(?<bad>.|$))/g;

/**
 * Fills in variables as Compose does: `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME-default}`, `${NAME:?message}`,
 * `${NAME?message}`, `${NAME:+other}`, `${NAME+other}`, and `$$` for a dollar sign. A variable that is not set is empty.
 */
export function interpolate(
  text: string,
  environment: Readonly<Record<string, string | undefined>>,
): { value: string; error?: undefined } | { error: string } {
  let error: string | undefined;
  const value = text.replace(variable, (match, ...rest) => {
    if (match === '$$') return '$';
    const {
      plain,
      name = plain,
      operator,
      word = '',
      bad,
    } = rest.at(-1) as Record<string, string | undefined>;
    if (bad !== undefined || name === undefined) {
      error ??= `${JSON.stringify(text)} has a $ that begins no variable; write $$ for a dollar sign`;
      return '';
    }
    const found = environment[name];
    const present = operator?.startsWith(':') ? found !== undefined && found !== '' : found !== undefined;
    if (operator?.endsWith('-')) return present ? (found ?? '') : word;
    if (operator?.endsWith('+')) return present ? word : '';
    if (operator?.endsWith('?') && !present)
      error ??= `the environment variable ${name} is needed${word === '' ? '' : `: ${word}`}; set it and try again`;
    return found ?? '';
  });
  return error === undefined ? { value } : { error };
}
