/** Of a terminal; narrower ones break words as they do. */
const narrowest = 40;
/** What comes after a label keeps to the right of it, unless that leaves too little. */
const deepestHang = 24;

/** Prints text for people: on a terminal no line is wider than it, and what goes on below stays below where it began. */
export function writeText(text: string): void {
  const { isTTY, columns } = process.stdout;
  process.stdout.write(isTTY && columns >= narrowest ? wrapText(text, columns) : text);
}

/** Breaks lines at blanks so that none is wider than `columns`, where words allow. Colours (ANSI escapes) count for nothing. */
export function wrapText(text: string, columns: number): string {
  return text
    .split('\n')
    .map((line) => (width(line) <= columns ? line : wrapLine(line, columns)))
    .join('\n');
}

function wrapLine(line: string, columns: number): string {
  const hang = hangOf(plain(line));
  const words = [...line.matchAll(/( *)([^ ]+)/g)].map(([, gap = '', word = '']) => ({ gap, word }));
  const lines: string[] = [];
  let current = '';
  for (const [at, { gap, word }] of words.entries()) {
    const longer = `${current}${gap}${word}`;
    // What stands apart, as the place of a decision, stays together.
    const apart = gap.length > 1 && width(current) > hang ? width(phraseFrom(words, at)) : 0;
    const isTooLong = width(current) + gap.length + apart > columns && apart <= columns - hang;
    // Before the first word nothing can be broken.
    if (plain(current).trim() === '' || (width(longer) <= columns && !isTooLong)) current = longer;
    else {
      lines.push(current);
      current = `${' '.repeat(hang)}${word}`;
    }
  }
  return [...lines, current].join('\n');
}

/** The words up to where something else begins behind more than one blank. */
function phraseFrom(words: readonly { readonly gap: string; readonly word: string }[], at: number): string {
  const next = words.findIndex(({ gap }, index) => index > at && gap.length > 1);
  return words
    .slice(at, next < 0 ? undefined : next)
    .map(({ word }) => word)
    .join(' ');
}

/** Below the text behind a label (`  route           HTTP route 0 …`) or a sign (`✘ GET …`), else a little to the right. */
function hangOf(line: string): number {
  const label = /^ *\S+(?: \S+)? {2,}(?=\S)/.exec(line)?.[0].length ?? 0;
  if (label > 0 && label <= deepestHang) return label;
  return (/^ */.exec(line)?.[0].length ?? 0) + 2;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: escapes begin with one
const escapes = /\u001b\[[0-9;]*m/g;

function plain(text: string): string {
  return text.replaceAll(escapes, '');
}

function width(text: string): number {
  return plain(text).length;
}
