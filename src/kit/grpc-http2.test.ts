import { expect, test } from 'vitest';
import { decodeGrpcMessage, encodeFrame, encodeGrpcMessage, FrameReader } from './grpc-http2.ts';

test('frames come out whole however the bytes are cut', () => {
  const messages = [Buffer.alloc(0), Buffer.from('a'), Buffer.alloc(70_000, 'x')];
  const bytes = Buffer.concat(messages.map(encodeFrame));
  for (const size of [1, 3, 4_096, bytes.length]) {
    const reader = new FrameReader(100_000);
    const out: string[] = [];
    for (let at = 0; at < bytes.length; at += size)
      out.push(...reader.push(bytes.subarray(at, at + size)).map(String));
    expect(out).toEqual(messages.map(String));
    expect(reader.unfinished).toBe(false);
  }
});

test('a large message that comes byte by byte is put together in few pieces', () => {
  const reader = new FrameReader(1_000_000);
  const frame = encodeFrame(Buffer.alloc(50_000, 'y'));
  for (let at = 0; at < frame.length - 1; at++)
    expect(reader.push(frame.subarray(at, at + 1)).length).toBe(0);
  const [message] = reader.push(Buffer.concat([frame.subarray(-1), encodeFrame(Buffer.from('next'))]));
  expect(message?.equals(Buffer.alloc(50_000, 'y'))).toBe(true);
});

test('messages in pieces of several readers do not disturb each other', () => {
  const texts = ['first', 'second', 'third'].map((text) => text.repeat(1_000));
  const frames = texts.map((text) =>
    Buffer.concat([text, `${text} again`].map((one) => encodeFrame(Buffer.from(one)))),
  );
  const readers = frames.map(() => new FrameReader(100_000));
  const out = frames.map((): string[] => []);
  for (let at = 0; at < 20_000; at += 700)
    for (const [i, reader] of readers.entries())
      out[i]?.push(...reader.push(frames[i]?.subarray(at, at + 700) ?? Buffer.alloc(0)).map(String));
  expect(out).toEqual(texts.map((text) => [text, `${text} again`]));
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
