/** Constants of MurmurHash3's x86 128-bit variant (Austin Appleby, public domain), the algorithm that this file follows. */
const c1 = 0x239b961b;
const c2 = 0xab0e9789;
const c3 = 0x38b34ae5;
const c4 = 0xa1e38b93;

function rotate(x: number, bits: number): number {
  return (x << bits) | (x >>> (32 - bits));
}

function finish(h: number): number {
  let x = h ^ (h >>> 16);
  x = Math.imul(x, 0x85ebca6b);
  x ^= x >>> 13;
  x = Math.imul(x, 0xc2b2ae35);
  return x ^ (x >>> 16);
}

function word(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] as number) |
    ((bytes[at + 1] as number) << 8) |
    ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 24)
  );
}

/**
 * A 128-bit content hash as four unsigned 32-bit words. Fast and well mixed, not cryptographic: it tells versions apart, it
 * proves nothing. Equal bytes give equal words on every machine.
 */
export function hashWords(bytes: Uint8Array): [number, number, number, number] {
  let h1 = 0;
  let h2 = 0;
  let h3 = 0;
  let h4 = 0;
  const blocks = bytes.length & ~15;
  for (let i = 0; i < blocks; i += 16) {
    h1 ^= Math.imul(rotate(Math.imul(word(bytes, i), c1), 15), c2);
    h1 = (Math.imul((rotate(h1, 19) + h2) | 0, 5) + 0x561ccd1b) | 0;
    h2 ^= Math.imul(rotate(Math.imul(word(bytes, i + 4), c2), 16), c3);
    h2 = (Math.imul((rotate(h2, 17) + h3) | 0, 5) + 0x0bcaa747) | 0;
    h3 ^= Math.imul(rotate(Math.imul(word(bytes, i + 8), c3), 17), c4);
    h3 = (Math.imul((rotate(h3, 15) + h4) | 0, 5) + 0x96cd1c35) | 0;
    h4 ^= Math.imul(rotate(Math.imul(word(bytes, i + 12), c4), 18), c1);
    h4 = (Math.imul((rotate(h4, 13) + h1) | 0, 5) + 0x32ac3b17) | 0;
  }
  const tail: [number, number, number, number] = [0, 0, 0, 0];
  for (let i = blocks; i < bytes.length; i++)
    tail[(i - blocks) >> 2] = (tail[(i - blocks) >> 2] as number) | ((bytes[i] as number) << ((i & 3) * 8));
  h1 ^= Math.imul(rotate(Math.imul(tail[0], c1), 15), c2);
  h2 ^= Math.imul(rotate(Math.imul(tail[1], c2), 16), c3);
  h3 ^= Math.imul(rotate(Math.imul(tail[2], c3), 17), c4);
  h4 ^= Math.imul(rotate(Math.imul(tail[3], c4), 18), c1);
  return mixTogether(h1 ^ bytes.length, h2 ^ bytes.length, h3 ^ bytes.length, h4 ^ bytes.length);
}

function mixTogether(a: number, b: number, c: number, d: number): [number, number, number, number] {
  const sum = (a + b + c + d) | 0;
  const w1 = finish(sum);
  const w2 = finish((b + sum) | 0);
  const w3 = finish((c + sum) | 0);
  const w4 = finish((d + sum) | 0);
  const total = (w1 + w2 + w3 + w4) | 0;
  return [total >>> 0, (w2 + total) >>> 0, (w3 + total) >>> 0, (w4 + total) >>> 0];
}

/** 64 bits of the content hash, 14 characters of base 32: short enough to travel with every resource. */
export function hashBytes(bytes: Uint8Array): string {
  const [a, b] = hashWords(bytes);
  return a.toString(32).padStart(7, '0') + b.toString(32).padStart(7, '0');
}

const encoder = new TextEncoder();

/** The content hash of a text, see hashBytes. */
export function hashText(text: string): string {
  return hashBytes(encoder.encode(text));
}
