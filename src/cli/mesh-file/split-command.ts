/**
 * Splits a command line into words as a shell would, without running one: blanks separate, quotes hold together, a
 * backslash takes the next character as it is. Undefined for a quote that does not end.
 */
export function splitCommand(line: string): string[] | undefined {
  const words: string[] = [];
  let word: string | undefined;
  for (let at = 0; at < line.length; at++) {
    const character = line[at] ?? '';
    if (/\s/.test(character)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (character === "'") {
      const end = line.indexOf("'", at + 1);
      if (end < 0) return undefined;
      word = (word ?? '') + line.slice(at + 1, end);
      at = end;
    } else if (character === '"') {
      let text = '';
      for (at++; line[at] !== '"'; at++) {
        if (at >= line.length) return undefined;
        if (line[at] === '\\' && /["\\$`]/.test(line[at + 1] ?? '')) at++;
        text += line[at];
      }
      word = (word ?? '') + text;
    } else if (character === '\\') {
      at++;
      if (at >= line.length) return undefined;
      word = (word ?? '') + line[at];
    } else word = (word ?? '') + character;
  }
  if (word !== undefined) words.push(word);
  return words;
}
