/** What is wrong with the bytes of a file, before YAML is looked at. */
export interface TextProblem {
  line: number;
  column: number;
  code: string;
  message: string;
}

/** Decodes UTF-8, with or without a byte order mark, and names the first byte that is not. */
export function decodeUtf8(bytes: Uint8Array): { text: string } | { problem: TextProblem } {
  if ((bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)) {
    return { problem: encodingProblem(1, 1, 'the file is UTF-16; save it as UTF-8') };
  }
  try {
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) };
  } catch {
    const offset = firstInvalidByte(bytes);
    const { line, column } = placeOfByte(bytes, offset);
    const byte = `0x${(bytes[offset] ?? 0).toString(16).padStart(2, '0')}`;
    const message = `the byte ${byte} at offset ${offset} is not valid UTF-8; save the file as UTF-8`;
    return { problem: encodingProblem(line, column, message) };
  }
}

/** The first character that YAML does not allow in a stream (https://yaml.org/spec/1.2.2/#51-character-set). */
export function findControlCharacter(text: string): TextProblem | undefined {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  const offset = text.search(/[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]/);
  if (offset === -1) return undefined;
  const before = text.slice(0, offset);
  const line = before.split('\n').length;
  const column = offset - before.lastIndexOf('\n');
  const code = `U+${text.charCodeAt(offset).toString(16).toUpperCase().padStart(4, '0')}`;
  const message = `the control character ${code} is not allowed in YAML; remove it, or write it as an escape inside double quotes`;
  return { line, column, code: 'YamlControlCharacter', message };
}

function encodingProblem(line: number, column: number, message: string): TextProblem {
  return { line, column, code: 'YamlEncoding', message };
}

/** Offset of the first byte of the first ill-formed sequence (Unicode 16, table 3-7). */
function firstInvalidByte(bytes: Uint8Array): number {
  let at = 0;
  while (at < bytes.length) {
    const length = sequenceLength(bytes, at);
    if (length === 0) return at;
    at += length;
  }
  return at;
}

function sequenceLength(bytes: Uint8Array, at: number): number {
  const lead = bytes[at] ?? 0;
  if (lead < 0x80) return 1;
  const length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  const second = bytes[at + 1] ?? 0;
  const low = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
  const high = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
  if (second < low || second > high) return 0;
  for (let i = 2; i < length; i++) {
    const next = bytes[at + i] ?? 0;
    if (next < 0x80 || next > 0xbf) return 0;
  }
  return length;
}

/** The column counts bytes here: what stands before the bad one need not be text. */
function placeOfByte(bytes: Uint8Array, offset: number): { line: number; column: number } {
  let line = 1;
  let lineStart = 0;
  for (let at = bytes.indexOf(10); at !== -1 && at < offset; at = bytes.indexOf(10, at + 1)) {
    line++;
    lineStart = at + 1;
  }
  return { line, column: offset - lineStart + 1 };
}
