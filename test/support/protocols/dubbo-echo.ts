import { connect, createServer, type Server } from 'node:net';

/*
 * Dubbo 2 over Hessian 2, as far as one string goes back and forth: a header of 16 bytes (magic, flags, status, id, length), then
 * the body. https://dubbo.apache.org/en/docs/concepts/rpc-protocol/
 */

const magic = 0xdabb;
const hessian2 = 2;
const request = 0x80;
const twoWay = 0x40;
const statusOk = 20;
/** Hessian's compact 1: a response with a value follows. */
const valueFollows = 0x91;

function text(value: string): Buffer {
  return Buffer.concat([Buffer.from([value.length]), Buffer.from(value)]);
}

function frame(flags: number, status: number, id: bigint, body: Buffer): Buffer {
  const header = Buffer.alloc(16);
  header.writeUInt16BE(magic, 0);
  header[2] = flags | hessian2;
  header[3] = status;
  header.writeBigUInt64BE(id, 4);
  header.writeUInt32BE(body.length, 12);
  return Buffer.concat([header, body]);
}

/** Frames of a growing buffer: calls `each`, returns the rest. */
function takeFrames(data: Buffer, each: (id: bigint, body: Buffer) => void): Buffer {
  let rest = data;
  while (rest.length >= 16 && rest.length >= 16 + rest.readUInt32BE(12)) {
    const end = 16 + rest.readUInt32BE(12);
    each(rest.readBigUInt64BE(4), rest.subarray(16, end));
    rest = rest.subarray(end);
  }
  return rest;
}

/** The strings (shorter than 32) at the beginning of a body. */
function texts(body: Buffer, count: number): string[] {
  const found: string[] = [];
  let at = 0;
  while (found.length < count) {
    const length = body[at] ?? 0;
    found.push(body.subarray(at + 1, at + 1 + length).toString());
    at += 1 + length;
  }
  return found;
}

/** Answers `echo(String)` with its argument. */
export function createDubboEcho(): Server {
  return createServer((socket) => {
    let rest: Buffer = Buffer.alloc(0);
    socket.on('error', () => undefined);
    socket.on('data', (data: Buffer) => {
      rest = takeFrames(Buffer.concat([rest, data]), (id, body) => {
        // Dubbo version, interface, its version, method, parameter types, the argument.
        const [, , , , , argument = ''] = texts(body, 6);
        socket.write(frame(0, statusOk, id, Buffer.concat([Buffer.from([valueFollows]), text(argument)])));
      });
    });
  });
}

/** One call; resolves with the value that comes back. */
export function callDubbo(port: number, argument: string): Promise<string> {
  const path = 'org.example.Echo';
  const attachments = Buffer.concat([
    Buffer.from('H'),
    ...[text('path'), text(path), text('interface'), text(path), text('version'), text('0.0.0')],
    Buffer.from('Z'),
  ]);
  const body = Buffer.concat([
    ...['2.0.2', path, '0.0.0', 'echo', 'Ljava/lang/String;', argument].map(text),
    attachments,
  ]);
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(frame(request | twoWay, 0, 7n, body)));
    let rest: Buffer = Buffer.alloc(0);
    socket.setTimeout(30_000, () => socket.destroy(new Error('no answer within 30 s')));
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('closed without an answer')));
    socket.on('data', (data: Buffer) => {
      rest = takeFrames(Buffer.concat([rest, data]), (_, answer) => {
        resolve(texts(answer.subarray(1), 1)[0] ?? '');
        socket.destroy();
      });
    });
  });
}
