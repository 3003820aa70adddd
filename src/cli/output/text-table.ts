const gap = 3;

/** Columns that line up, as kubectl and istioctl print them: no frame, blanks between. Escape sequences take no width. */
export function textTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = header.length > 0 ? [header, ...rows] : rows;
  const widths: number[] = [];
  for (const line of lines)
    for (const [index, cell] of line.entries()) widths[index] = Math.max(widths[index] ?? 0, widthOf(cell));
  return lines
    .map((line) =>
      line
        .map((cell, index) =>
          index === line.length - 1 ? cell : cell + ' '.repeat((widths[index] ?? 0) - widthOf(cell) + gap),
        )
        .join('')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('');
}

function widthOf(cell: string): number {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what escape sequences begin with
  return [...cell.replace(/\u001b\[[0-9;]*m/g, '')].length;
}
