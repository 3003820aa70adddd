import { createDeflate, createInflate, constants as zlib } from 'node:zlib';

/*
 * Header blocks of SPDY/3.1 (draft-mbelshe-httpbis-spdy-00, section 2.6.10): name and value pairs with 32-bit lengths, in one zlib
 * stream per direction that lasts as long as the connection and starts from a dictionary that both sides know.
 */

/** Longest block, compressed and not, in bytes: Kubernetes' streams send four short headers. */
const maxBlock = 16 * 1024;

const dictionaryWords =
  'options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow authorization cache-control connection content-base content-encoding content-language content-length content-location content-md5 content-range content-type date etag expect expires from host if-match if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade user-agent vary via warning www-authenticate method get status'.split(
    ' ',
  );
const dictionaryValues = [
  '200 OK',
  'version',
  'HTTP/1.1',
  'url',
  'public',
  'set-cookie',
  'keep-alive',
  'origin',
];
const statusLines = [
  ...['203 Non-Authoritative Information', '204 No Content', '301 Moved Permanently', '400 Bad Request'],
  ...['401 Unauthorized', '403 Forbidden', '404 Not Found', '500 Internal Server Error'],
  ...['501 Not Implemented', '503 Service Unavailable'],
];
const dictionaryTail = `100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505${statusLines.join('')}Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.`;

/** The dictionary that the protocol lays down: words with their lengths, then text that is common in values. */
export const spdyDictionary = Buffer.concat([
  ...[...dictionaryWords, ...dictionaryValues].map((word) =>
    Buffer.concat([uint32(word.length), Buffer.from(word)]),
  ),
  Buffer.from(dictionaryTail),
]);

export type SpdyHeaders = ReadonlyMap<string, string>;

/** Reads the header blocks of one direction, in their order. */
export function createHeaderReader(): { read(block: Buffer): Promise<SpdyHeaders>; close(): void } {
  const inflate = createInflate({ dictionary: spdyDictionary, flush: zlib.Z_SYNC_FLUSH });
  return {
    async read(block) {
      if (block.length > maxBlock) throw new Error('a header block is too long');
      return parseHeaders(await through(inflate, block));
    },
    close: () => inflate.destroy(),
  };
}

/** Writes the header blocks of one direction, in their order. */
export function createHeaderWriter(): { write(headers: SpdyHeaders): Promise<Buffer>; close(): void } {
  const deflate = createDeflate({ dictionary: spdyDictionary, flush: zlib.Z_SYNC_FLUSH });
  return { write: (headers) => through(deflate, encodeHeaders(headers)), close: () => deflate.destroy() };
}

/** What comes out of a stream for one piece that goes in. Bounded: a block that swells beyond what is allowed is refused. */
function through(stream: ReturnType<typeof createInflate>, piece: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let size = 0;
    const done = (error?: Error | null): void => {
      stream.off('readable', take).off('error', done);
      if (error) reject(error);
      else resolve(Buffer.concat(parts));
    };
    const take = (): void => {
      for (let part = stream.read() as Buffer | null; part !== null; part = stream.read() as Buffer | null) {
        size += part.length;
        if (size > maxBlock) {
          done(new Error('a header block is too long'));
          return;
        }
        parts.push(part);
      }
    };
    stream.on('readable', take).on('error', done);
    stream.write(piece, (error) => {
      if (!error) take();
      done(error);
    });
  });
}

function parseHeaders(block: Buffer): SpdyHeaders {
  const headers = new Map<string, string>();
  let at = 4;
  const text = (): string => {
    const length = block.readUInt32BE(at);
    const end = at + 4 + length;
    if (end > block.length) throw new Error('a header block ends inside a header');
    const value = block.toString('latin1', at + 4, end);
    at = end;
    return value;
  };
  for (let left = block.readUInt32BE(0); left > 0; left--) headers.set(text().toLowerCase(), text());
  return headers;
}

function encodeHeaders(headers: SpdyHeaders): Buffer {
  const parts = [uint32(headers.size)];
  for (const [name, value] of headers)
    for (const text of [name, value])
      parts.push(uint32(Buffer.byteLength(text, 'latin1')), Buffer.from(text, 'latin1'));
  return Buffer.concat(parts);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
