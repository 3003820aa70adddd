import { expect, test } from 'vitest';
import { decodeGrpcMessage, encodeFrame, encodeGrpcMessage, FrameReader } from './grpc-http2.ts';

test('frames come out whole however the bytes are cut', () => {
  const messages = [Buffer.alloc(0), Buffer.from('a'), Buffer.alloc(70_000, 'x')];
  const bytes = Buffer.concat(messages.map(encodeFrame));
  for (const size of [1, 3, 4_096, bytes.length]) {
    const reader = new FrameReader(100_000);
    const out: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += size) out.push(...reader.push(bytes.subarray(at, at + size)));
    expect(out.map((message) => message.length)).toEqual([0, 1, 70_000]);
    expect(reader.unfinished).toBe(false);
  }
});

test('a message above the limit is refused from its prefix, a compressed one too', () => {
  const large = Buffer.from([0, 0, 0, 1, 0]);
  expect(() => new FrameReader(255).push(large)).toThrow(/256 bytes exceeds the limit of 255/);
  expect(() => new FrameReader(255).push(Buffer.from([1, 0, 0, 0, 0]))).toThrow(/compressed/);
});

test('status messages survive any text', () => {
  for (const text of ['plain', 'line\nbreak', '100 % – é', '\ud800 lone surrogate'])
    expect(decodeGrpcMessage(encodeGrpcMessage(text))).toBe(text.toWellFormed());
  expect(encodeGrpcMessage('é\n')).toMatch(/^[\x20-\x7e]*$/);
});
