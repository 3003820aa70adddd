import { appendStep } from '../../field-path.ts';

export interface JsonScan {
  /** Deepest nesting found. */
  depth: number;
  /** JSON paths of keys that an object holds twice. */
  duplicates: string[];
}

interface Frame {
  keys: Set<string> | undefined;
  index: number;
  key: string;
}

/**
 * Reads JSON text once for what JSON.parse does not tell: depth and duplicate keys. The text must be valid JSON (parse it
 * first); nothing here recurses, so depth cannot exhaust the stack.
 */
export function scanJson(text: string, maxDuplicates = 20): JsonScan {
  const stack: Frame[] = [];
  const duplicates: string[] = [];
  let depth = 0;
  let expectKey = false;
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case 0x22: {
        const end = stringEnd(text, at);
        const top = stack.at(-1);
        if (expectKey && top?.keys) {
          const raw = text.slice(at + 1, end);
          const key = raw.includes('\\') ? (JSON.parse(`"${raw}"`) as string) : raw;
          top.key = key;
          if (top.keys.has(key) && duplicates.length < maxDuplicates) duplicates.push(pathOf(stack));
          top.keys.add(key);
          expectKey = false;
        }
        at = end;
        break;
      }
      case 0x7b:
        stack.push({ keys: new Set(), index: 0, key: '' });
        depth = Math.max(depth, stack.length);
        expectKey = true;
        break;
      case 0x5b:
        stack.push({ keys: undefined, index: 0, key: '' });
        depth = Math.max(depth, stack.length);
        expectKey = false;
        break;
      case 0x7d:
      case 0x5d:
        stack.pop();
        expectKey = false;
        break;
      case 0x2c: {
        const top = stack.at(-1);
        if (top && !top.keys) top.index++;
        expectKey = top?.keys !== undefined;
        break;
      }
    }
  }
  return { depth, duplicates };
}

/** Index of the closing quote of the string that opens at `start`. */
function stringEnd(text: string, start: number): number {
  let at = start + 1;
  for (;;) {
    const quote = text.indexOf('"', at);
    if (quote < 0) return text.length;
    let backslashes = 0;
    while (text.charCodeAt(quote - 1 - backslashes) === 0x5c) backslashes++;
    if (backslashes % 2 === 0) return quote;
    at = quote + 1;
  }
}

function pathOf(stack: readonly Frame[]): string {
  let path = '';
  for (const frame of stack) path = appendStep(path, frame.keys ? frame.key : frame.index);
  return path;
}
