/** Names joined by commas; beyond so many characters the rest is counted: `a,b,+7`. */
export function boundedList(names: readonly string[], longest: number): string {
  let text = '';
  for (const [index, name] of names.entries()) {
    const next = text === '' ? name : `${text},${name}`;
    if (next.length > longest) return `${text === '' ? '' : `${text},`}+${names.length - index}`;
    text = next;
  }
  return text;
}

/** The names of such a list, and how many were left out. */
export function parseBoundedList(text: string): { readonly names: readonly string[]; readonly more: number } {
  const names = text.split(',').filter((name) => name !== '');
  const more = /^\+(\d+)$/.exec(names.at(-1) ?? '');
  return more ? { names: names.slice(0, -1), more: Number(more[1]) } : { names, more: 0 };
}
