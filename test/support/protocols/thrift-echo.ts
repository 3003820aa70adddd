import type { Server } from 'node:net';
import thrift from 'thrift';

/** The part of a Thrift protocol that an echo service needs; the library's types leave these untyped. */
interface Wire {
  writeMessageBegin(name: string, type: number, sequence: number): void;
  writeMessageEnd(): void;
  writeStructBegin(name: string): void;
  writeStructEnd(): void;
  writeFieldBegin(name: string, type: number, id: number): void;
  writeFieldEnd(): void;
  writeFieldStop(): void;
  writeString(text: string): void;
  readMessageBegin(): { fname: string; mtype: number; rseqid: number };
  readMessageEnd(): void;
  readStructBegin(): void;
  readFieldBegin(): { ftype: number; fid: number };
  readFieldEnd(): void;
  readString(): string;
  readStructEnd(): void;
  skip(type: number): void;
  flush(): void;
}

const { MessageType, Type } = thrift.Thrift;

function writeText(wire: Wire, message: string, type: number, sequence: number, id: number, text: string) {
  wire.writeMessageBegin(message, type, sequence);
  wire.writeStructBegin('echo');
  wire.writeFieldBegin('text', Type.STRING, id);
  wire.writeString(text);
  wire.writeFieldEnd();
  wire.writeFieldStop();
  wire.writeStructEnd();
  wire.writeMessageEnd();
  wire.flush();
}

function readText(wire: Wire): string {
  let text = '';
  wire.readStructBegin();
  for (;;) {
    const { ftype } = wire.readFieldBegin();
    if (ftype === Type.STOP) break;
    if (ftype === Type.STRING) text = wire.readString();
    else wire.skip(ftype);
    wire.readFieldEnd();
  }
  wire.readStructEnd();
  wire.readMessageEnd();
  return text;
}

/** What the library's generator would make of `service Echo { string echo(1: string text) }`, server side. */
class Processor {
  process(input: Wire, output: Wire): void {
    const { fname, rseqid } = input.readMessageBegin();
    writeText(output, fname, MessageType.REPLY, rseqid, 0, readText(input));
  }
}

/** The same, client side. */
class Client {
  readonly output: Wire;
  readonly pClass: new (
    transport: unknown,
  ) => Wire;
  /** The library looks callbacks up here. */
  readonly _reqs: Record<number, (error: unknown, result?: string) => void> = {};
  #sequence = 0;

  constructor(output: unknown, pClass: new (transport: unknown) => Wire) {
    this.output = output as Wire;
    this.pClass = pClass;
  }

  echo(text: string): Promise<string> {
    const sequence = ++this.#sequence;
    return new Promise((resolve, reject) => {
      this._reqs[sequence] = (error, result) => (error ? reject(error) : resolve(result ?? ''));
      writeText(new this.pClass(this.output), 'echo', MessageType.CALL, sequence, 1, text);
    });
  }

  recv_echo(input: Wire, _type: number, sequence: number): void {
    this._reqs[sequence]?.(null, readText(input));
    delete this._reqs[sequence];
  }
}

const wires = {
  'framed, binary': { transport: thrift.TFramedTransport, protocol: thrift.TBinaryProtocol },
  'unframed, compact': { transport: thrift.TBufferedTransport, protocol: thrift.TCompactProtocol },
};
export type ThriftWire = keyof typeof wires;

/** A Thrift server that answers each call with its text. */
export function createThriftEcho(wire: ThriftWire): Server {
  return thrift.createServer(Processor as never, {}, wires[wire]) as unknown as Server;
}

/** Makes calls on one connection and closes it. */
export async function callThrift(
  port: number,
  wire: ThriftWire,
  texts: readonly string[],
): Promise<string[]> {
  const connection = thrift.createConnection('127.0.0.1', port, { ...wires[wire], timeout: 30_000 });
  const failed = new Promise<never>((_, reject) => connection.on('error', reject));
  try {
    const client = thrift.createClient(Client as never, connection) as unknown as Client;
    return await Promise.race([failed, Promise.all(texts.map((text) => client.echo(text)))]);
  } finally {
    connection.end();
  }
}
