import { connect, createServer, type Server } from 'node:net';
import hessian from 'hessian.js';

/*
 * Dubbo 2: a header of 16 bytes (magic, flags, status, id, length), then a body of values that the library `hessian.js` writes and
 * reads. https://dubbo.apache.org/en/docs/concepts/rpc-protocol/
 */

const magic = 0xdabb;
const hessian2 = 2;
const request = 0x80;
const twoWay = 0x40;
const statusOk = 20;
/** A response with a value follows. */
const valueFollows = 1;

function frame(flags: number, status: number, id: bigint, values: readonly unknown[]): Buffer {
  const encoder = new hessian.EncoderV2();
  for (const value of values) encoder.write(value);
  const body = encoder.get();
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

/** Answers `echo(Object)` with its argument. */
export function createDubboEcho(): Server {
  return createServer((socket) => {
    let rest: Buffer = Buffer.alloc(0);
    socket.on('error', () => undefined);
    socket.on('data', (data: Buffer) => {
      rest = takeFrames(Buffer.concat([rest, data]), (id, body) => {
        const decoder = new hessian.DecoderV2(body);
        // Dubbo version, interface, its version, method, parameter types, the argument.
        const [, , , , , argument] = Array.from({ length: 6 }, () => decoder.read());
        socket.write(frame(0, statusOk, id, [valueFollows, argument]));
      });
    });
  });
}

/** Calls on one connection, all at once; resolves with the values that come back, in the order of the arguments. */
export function callDubbo(port: number, ...values: readonly unknown[]): Promise<unknown[]> {
  const path = 'org.example.Echo';
  const attachments = { $class: 'java.util.HashMap', $: { path, interface: path, version: '0.0.0' } };
  return new Promise((resolve, reject) => {
    const answers = new Map<bigint, unknown>();
    const socket = connect(port, '127.0.0.1', () => {
      for (const [index, value] of values.entries()) {
        const body = ['2.0.2', path, '0.0.0', 'echo', 'Ljava/lang/Object;', value, attachments];
        socket.write(frame(request | twoWay, 0, BigInt(index), body));
      }
    });
    let rest: Buffer = Buffer.alloc(0);
    socket.setTimeout(30_000, () => socket.destroy(new Error('no answer within 30 s')));
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('closed without an answer')));
    socket.on('data', (data: Buffer) => {
      rest = takeFrames(Buffer.concat([rest, data]), (id, body) => {
        const decoder = new hessian.DecoderV2(body);
        decoder.read();
        answers.set(id, decoder.read());
        if (answers.size < values.length) return;
        resolve(values.map((_, index) => answers.get(BigInt(index))));
        socket.destroy();
      });
    });
  });
}
