import { createServer, type Server, type Socket } from 'node:net';
import { BSON } from 'mongodb';

/*
 * As much of a MongoDB server as its driver asks for to store and read documents, kept in memory: the greeting (OP_QUERY, answered by
 * OP_REPLY) and commands (OP_MSG). The driver is the real one. https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/
 */

const opReply = 1;
const opQuery = 2004;
const opMsg = 2013;

type Document = BSON.Document;

interface Cursor {
  readonly namespace: string;
  left: Document[];
}

interface Store {
  readonly collections: Map<string, Document[]>;
  readonly cursors: Map<string, Cursor>;
}

/** Stores what is inserted and finds all of it, in batches. */
export function createMongoServer(): Server {
  const store: Store = { collections: new Map(), cursors: new Map() };
  return createServer((socket) => {
    let rest: Buffer = Buffer.alloc(0);
    socket.on('error', () => undefined);
    socket.on('data', (data: Buffer) => {
      rest = Buffer.concat([rest, data]);
      while (rest.length >= 16 && rest.length >= rest.readInt32LE(0)) {
        const end = rest.readInt32LE(0);
        answer(socket, store, rest.subarray(0, end));
        rest = rest.subarray(end);
      }
    });
  });
}

function answer(socket: Socket, store: Store, message: Buffer): void {
  const request = message.readInt32LE(4);
  const code = message.readInt32LE(12);
  if (code === opQuery) {
    const reply = Buffer.alloc(20);
    reply.writeInt32LE(1, 16);
    send(socket, opReply, request, Buffer.concat([reply, BSON.serialize(greeting())]));
  } else if (code === opMsg) {
    const result = carryOut(store, readSections(message.subarray(20)));
    send(socket, opMsg, request, Buffer.concat([Buffer.alloc(5), BSON.serialize(result)]));
  } else socket.destroy();
}

function send(socket: Socket, code: number, answerTo: number, body: Buffer): void {
  const header = Buffer.alloc(16);
  [16 + body.length, 1, answerTo, code].forEach((value, at) => {
    header.writeInt32LE(value, at * 4);
  });
  socket.write(Buffer.concat([header, body]));
}

/** The command's document (section 0), with the lists that travel beside it (section 1) as fields of it. */
function readSections(bytes: Buffer): Document {
  let command: Document = {};
  let at = 0;
  while (at < bytes.length) {
    const section = bytes[at];
    const size = bytes.readInt32LE(at + 1);
    const body = bytes.subarray(at + 1, at + 1 + size);
    if (section === 0) command = { ...command, ...BSON.deserialize(body) };
    else {
      const name = body.toString('utf8', 4, body.indexOf(0, 4));
      command = { ...command, [name]: readDocuments(body.subarray(5 + name.length)) };
    }
    at += 1 + size;
  }
  return command;
}

function readDocuments(bytes: Buffer): Document[] {
  const found: Document[] = [];
  for (let at = 0; at < bytes.length; at += bytes.readInt32LE(at))
    found.push(BSON.deserialize(bytes.subarray(at, at + bytes.readInt32LE(at))));
  return found;
}

function greeting(): Document {
  return {
    ...{ ok: 1, helloOk: true, isWritablePrimary: true, ismaster: true },
    ...{ maxBsonObjectSize: 16 * 2 ** 20, maxMessageSizeBytes: 48_000_000, maxWriteBatchSize: 100_000 },
    ...{ minWireVersion: 0, maxWireVersion: 21, localTime: new Date() },
  };
}

function carryOut(store: Store, command: Document): Document {
  const [name = ''] = Object.keys(command);
  const namespace = `${command.$db}.${command[name === 'getMore' ? 'collection' : name]}`;
  switch (name) {
    case 'hello':
    case 'isMaster':
      return greeting();
    case 'insert': {
      const added = command.documents as Document[];
      store.collections.set(namespace, [...(store.collections.get(namespace) ?? []), ...added]);
      return { ok: 1, n: added.length };
    }
    case 'find': {
      const cursor = { namespace, left: store.collections.get(namespace) ?? [] };
      const id = BSON.Long.fromNumber(store.cursors.size + 1);
      store.cursors.set(String(id), cursor);
      return batch(store, id, cursor, 'firstBatch', Number(command.batchSize ?? 101));
    }
    case 'getMore': {
      const id = BSON.Long.fromValue(command.getMore);
      const cursor = store.cursors.get(String(id));
      if (!cursor) return { ok: 0, code: 43, codeName: 'CursorNotFound', errmsg: `no cursor ${id}` };
      return batch(store, id, cursor, 'nextBatch', Number(command.batchSize ?? 101));
    }
    case 'ping':
    case 'endSessions':
    case 'killCursors':
      return { ok: 1 };
    default:
      return { ok: 0, code: 59, codeName: 'CommandNotFound', errmsg: `no such command: ${name}` };
  }
}

/** A cursor's next documents; its number is 0 when there are no more. */
function batch(store: Store, id: BSON.Long, cursor: Cursor, field: string, size: number): Document {
  const documents = cursor.left.slice(0, size);
  cursor.left = cursor.left.slice(size);
  const more = cursor.left.length > 0;
  if (!more) store.cursors.delete(String(id));
  return { ok: 1, cursor: { id: more ? id : BSON.Long.ZERO, ns: cursor.namespace, [field]: documents } };
}
