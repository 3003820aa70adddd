import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeGrpcMessage, FrameDecoder, GrpcError, writeFramePrefix } from './grpc-frames.ts';

function frame(message: Uint8Array): Buffer {
  const prefix = Buffer.alloc(5);
  writeFramePrefix(prefix, 0, message.length);
  return Buffer.concat([prefix, message]);
}

describe('FrameDecoder', () => {
  it('finds the messages however the bytes are cut', () => {
    const messages = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 10 });
    fc.assert(
      fc.property(messages, fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 }), (list, cuts) => {
        const bytes = Buffer.concat(list.map(frame));
        const decoder = new FrameDecoder(100);
        const found: Buffer[] = [];
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const next = at + (cuts[i % cuts.length] as number);
          found.push(...decoder.push(bytes.subarray(at, next)));
          at = next;
        }
        expect(found.map((one) => [...one])).toEqual(list.map((one) => [...one]));
      }),
    );
  });

  it('refuses by the length alone', () => {
    const decoder = new FrameDecoder(10);
    expect(() => decoder.push(Buffer.from([0, 0, 0, 0, 11]))).toThrow(GrpcError);
    expect(() => new FrameDecoder(10).push(Buffer.from([1, 0, 0, 0, 1]))).toThrow(/compressed/);
  });
});

describe('encodeGrpcMessage', () => {
  it('keeps printable ASCII and encodes the rest as UTF-8', () => {
    expect(encodeGrpcMessage('plain: 100%')).toBe('plain: 100%25');
    expect(encodeGrpcMessage('é\n😀')).toBe('%C3%A9%0A%F0%9F%98%80');
  });
});
