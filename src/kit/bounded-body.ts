import type { IncomingMessage } from 'node:http';

/** The body of an answer. One that is longer than `maxBytes` is cut off, and fails as `fail` says. */
export async function readBounded(
  response: IncomingMessage,
  maxBytes: number,
  fail: (message: string) => Error,
): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxBytes) {
      response.destroy();
      throw fail(`the answer is longer than ${maxBytes} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
