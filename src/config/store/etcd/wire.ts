import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';

/**
 * The few messages of etcd's v3 API that the store uses, as etcd's rpc.proto and kv.proto number their fields. Written out
 * by hand: a dozen fields do not repay a generated copy of all of etcd.
 */

export interface KeyValue {
  key: string;
  modRevision: number;
  createRevision: number;
  /** JSON text, or empty. */
  value: string;
}

export interface RangeRequest {
  key: string;
  /** Exclusive; absent: `key` alone. */
  rangeEnd?: string;
  limit?: number;
  revision?: number;
  countOnly?: boolean;
}

export interface RangeResponse {
  revision: number;
  kvs: KeyValue[];
  more: boolean;
  /** Keys of the whole range, whatever the limit. */
  count: number;
}

export type TxnOp =
  | { type: 'range'; range: RangeRequest }
  | { type: 'put'; key: string; value: string }
  | { type: 'delete'; key: string };

export interface TxnRequest {
  /** The revision that last wrote each key has to be this, 0: there is no such key. */
  compare: { key: string; modRevision: number }[];
  success: TxnOp[];
  failure: TxnOp[];
}

export interface TxnResponse {
  revision: number;
  succeeded: boolean;
  /** Answers to the range operations, in order. */
  ranges: RangeResponse[];
}

export interface WatchEvent {
  deleted: boolean;
  kv: KeyValue;
  previous?: KeyValue;
}

export interface WatchResponse {
  revision: number;
  created: boolean;
  canceled: boolean;
  /** Above 0: what was asked for is forgotten up to here. */
  compactRevision: number;
  cancelReason: string;
  events: WatchEvent[];
}

const bytesOf = (text: string) => Buffer.from(text);

export function encodeRange(request: RangeRequest): Uint8Array {
  return writeRange(new BinaryWriter(), request).finish();
}

function writeRange(writer: BinaryWriter, request: RangeRequest): BinaryWriter {
  writer.tag(1, WireType.LengthDelimited).bytes(bytesOf(request.key));
  if (request.rangeEnd !== undefined)
    writer.tag(2, WireType.LengthDelimited).bytes(bytesOf(request.rangeEnd));
  if (request.limit) writer.tag(3, WireType.Varint).int64(request.limit);
  if (request.revision) writer.tag(4, WireType.Varint).int64(request.revision);
  if (request.countOnly) writer.tag(9, WireType.Varint).bool(true);
  return writer;
}

export function encodeTxn(request: TxnRequest): Uint8Array {
  const writer = new BinaryWriter();
  for (const { key, modRevision } of request.compare) {
    writer.tag(1, WireType.LengthDelimited).fork();
    // Result EQUAL is the default; target MOD is 2.
    writer.tag(2, WireType.Varint).int32(2);
    writer.tag(3, WireType.LengthDelimited).bytes(bytesOf(key));
    // Part of a oneof: written even when 0.
    writer.tag(6, WireType.Varint).int64(modRevision).join();
  }
  for (const op of request.success) writeOp(writer.tag(2, WireType.LengthDelimited).fork(), op).join();
  for (const op of request.failure) writeOp(writer.tag(3, WireType.LengthDelimited).fork(), op).join();
  return writer.finish();
}

function writeOp(writer: BinaryWriter, op: TxnOp): BinaryWriter {
  if (op.type === 'range') {
    return writeRange(writer.tag(1, WireType.LengthDelimited).fork(), op.range).join();
  }
  writer.tag(op.type === 'put' ? 2 : 3, WireType.LengthDelimited).fork();
  writer.tag(1, WireType.LengthDelimited).bytes(bytesOf(op.key));
  if (op.type === 'put') writer.tag(2, WireType.LengthDelimited).bytes(bytesOf(op.value));
  return writer.join();
}

export function encodeCompaction(revision: number): Uint8Array {
  return new BinaryWriter().tag(1, WireType.Varint).int64(revision).finish();
}

/** Events from `startRevision` on, with previous values, and a word now and then when there are none. */
export function encodeWatchCreate(key: string, rangeEnd: string, startRevision: number): Uint8Array {
  const writer = new BinaryWriter();
  writer.tag(1, WireType.LengthDelimited).fork();
  writer.tag(1, WireType.LengthDelimited).bytes(bytesOf(key));
  writer.tag(2, WireType.LengthDelimited).bytes(bytesOf(rangeEnd));
  writer.tag(3, WireType.Varint).int64(startRevision);
  writer.tag(4, WireType.Varint).bool(true);
  writer.tag(6, WireType.Varint).bool(true);
  return writer.join().finish();
}

/** Calls `field` for each field; it returns false for those that it does not read. */
function readFields(bytes: Uint8Array, field: (number: number, reader: BinaryReader) => boolean): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    if (!field(number, reader)) reader.skip(wireType, number);
  }
}

function text(reader: BinaryReader): string {
  return Buffer.from(reader.bytes()).toString();
}

/** Revisions count writes: a safe integer for ages. */
function integer(reader: BinaryReader): number {
  return Number(reader.int64());
}

function decodeHeader(bytes: Uint8Array): number {
  let revision = 0;
  readFields(bytes, (number, reader) => {
    if (number !== 3) return false;
    revision = integer(reader);
    return true;
  });
  return revision;
}

function decodeKeyValue(bytes: Uint8Array): KeyValue {
  const kv: KeyValue = { key: '', modRevision: 0, createRevision: 0, value: '' };
  readFields(bytes, (number, reader) => {
    if (number === 1) kv.key = text(reader);
    else if (number === 2) kv.createRevision = integer(reader);
    else if (number === 3) kv.modRevision = integer(reader);
    else if (number === 5) kv.value = text(reader);
    else return false;
    return true;
  });
  return kv;
}

export function decodeRange(bytes: Uint8Array): RangeResponse {
  const response: RangeResponse = { revision: 0, kvs: [], more: false, count: 0 };
  readFields(bytes, (number, reader) => {
    if (number === 1) response.revision = decodeHeader(reader.bytes());
    else if (number === 2) response.kvs.push(decodeKeyValue(reader.bytes()));
    else if (number === 3) response.more = reader.bool();
    else if (number === 4) response.count = integer(reader);
    else return false;
    return true;
  });
  return response;
}

export function decodeTxn(bytes: Uint8Array): TxnResponse {
  const response: TxnResponse = { revision: 0, succeeded: false, ranges: [] };
  readFields(bytes, (number, reader) => {
    if (number === 1) response.revision = decodeHeader(reader.bytes());
    else if (number === 2) response.succeeded = reader.bool();
    else if (number === 3) {
      readFields(reader.bytes(), (op, inner) => {
        if (op !== 1) return false;
        response.ranges.push(decodeRange(inner.bytes()));
        return true;
      });
    } else return false;
    return true;
  });
  return response;
}

export function decodeWatch(bytes: Uint8Array): WatchResponse {
  const response: WatchResponse = {
    revision: 0,
    created: false,
    canceled: false,
    compactRevision: 0,
    cancelReason: '',
    events: [],
  };
  readFields(bytes, (number, reader) => {
    if (number === 1) response.revision = decodeHeader(reader.bytes());
    else if (number === 3) response.created = reader.bool();
    else if (number === 4) response.canceled = reader.bool();
    else if (number === 5) response.compactRevision = integer(reader);
    else if (number === 6) response.cancelReason = text(reader);
    else if (number === 11) response.events.push(decodeEvent(reader.bytes()));
    else return false;
    return true;
  });
  return response;
}

function decodeEvent(bytes: Uint8Array): WatchEvent {
  let deleted = false;
  let kv: KeyValue = { key: '', modRevision: 0, createRevision: 0, value: '' };
  let previous: KeyValue | undefined;
  readFields(bytes, (number, reader) => {
    if (number === 1) deleted = reader.int32() === 1;
    else if (number === 2) kv = decodeKeyValue(reader.bytes());
    else if (number === 3) previous = decodeKeyValue(reader.bytes());
    else return false;
    return true;
  });
  return previous ? { deleted, kv, previous } : { deleted, kv };
}
