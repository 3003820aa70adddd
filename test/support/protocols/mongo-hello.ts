import { connect, createServer, type Server } from 'node:net';

/*
 * The greeting of MongoDB's wire protocol, in the messages that Envoy reads: OP_QUERY and OP_REPLY.
 * https://www.mongodb.com/docs/manual/legacy-opcodes/
 */

const opReply = 1;
const opQuery = 2004;

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
}

/** A BSON document of one 32-bit number. */
function document(name: string, value: number): Buffer {
  const body = Buffer.concat([Buffer.from([0x10]), Buffer.from(`${name}\0`), int32(value), Buffer.from([0])]);
  return Buffer.concat([int32(body.length + 4), body]);
}

function message(code: number, body: Buffer, answerTo = 0): Buffer {
  return Buffer.concat([int32(16 + body.length), int32(1), int32(answerTo), int32(code), body]);
}

/** Answers every query with `{ok: 1}`. */
export function createMongoHello(): Server {
  return createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (data: Buffer) => {
      const reply = Buffer.concat([int32(8), Buffer.alloc(8), int32(0), int32(1), document('ok', 1)]);
      socket.write(message(opReply, reply, data.readInt32LE(4)));
    });
  });
}

/** Sends `isMaster` and resolves with the code of the answering message. */
export function callMongo(port: number): Promise<number> {
  const query = Buffer.concat([
    ...[int32(0), Buffer.from('admin.$cmd\0'), int32(0), int32(-1), document('isMaster', 1)],
  ]);
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(message(opQuery, query)));
    socket.setTimeout(30_000, () => socket.destroy(new Error('no answer within 30 s')));
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('closed without an answer')));
    socket.on('data', (data: Buffer) => {
      resolve(data.readInt32LE(12));
      socket.destroy();
    });
  });
}
