import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { type DomainTrust, noExtras, type TrustExtras } from './trust-extras.ts';

/* Two messages of a few fields, written by hand: the agent is to stay small. */

export const TRUST_SYNC_PATH = '/ostria.v1.TrustService/Sync';

/** What a workload says of itself. */
export interface TrustRequest {
  /** Hash of the roots that it trusts. */
  readonly bundle: string;
  /** Its name, `name.namespace`: tells replicas of one identity apart. */
  readonly instance: string;
  /** Hash of what it trusts and distrusts beside them; '' from an agent that knows no such thing. */
  readonly extras: string;
}

export interface TrustResponse {
  /** PEM; '' when what it has is right. */
  readonly bundle: string;
  readonly renew: boolean;
  /** When to ask again, in ms. */
  readonly nextMs: number;
  /** Absent when what it has is right. */
  readonly extras?: TrustExtras;
}

const maxText = 256;
const text = WireType.LengthDelimited;

export function encodeTrustRequest({ bundle, instance, extras }: TrustRequest): Uint8Array {
  const writer = new BinaryWriter();
  writer.tag(1, text).string(bundle);
  return writer.tag(2, text).string(instance).tag(3, text).string(extras).finish();
}

/** Throws for what is no such message, or one with absurd texts. */
export function decodeTrustRequest(bytes: Uint8Array): TrustRequest {
  const fields = decode(bytes);
  const [bundle, instance, extras] = [1, 2, 3].map((field) => textOf(fields, field)) as [
    string,
    string,
    string,
  ];
  if ([bundle, instance, extras].some(({ length }) => length > maxText))
    throw new Error('a text is too long');
  return { bundle, instance, extras };
}

/** bundle = 1, renew = 2, next_ms = 3, extras = 4. */
export function encodeTrustResponse({ bundle, renew, nextMs, extras }: TrustResponse): Uint8Array {
  const writer = new BinaryWriter();
  if (bundle !== '') writer.tag(1, text).string(bundle);
  if (renew) writer.tag(2, WireType.Varint).bool(true);
  writer.tag(3, WireType.Varint).uint32(Math.round(nextMs));
  if (extras) {
    writer.tag(4, text).fork();
    if (extras.crl !== '') writer.tag(1, text).string(extras.crl);
    for (const { trustDomain, roots, meshRoots } of extras.domains) {
      writer.tag(2, text).fork().tag(1, text).string(trustDomain).tag(2, text).string(roots);
      writer.tag(3, WireType.Varint).bool(meshRoots).join();
    }
    writer.join();
  }
  return writer.finish();
}

export function decodeTrustResponse(bytes: Uint8Array): TrustResponse {
  const fields = decode(bytes);
  const extras = fields.texts.get(4)?.at(-1);
  return {
    bundle: textOf(fields, 1),
    renew: (fields.numbers.get(2) ?? 0) > 0,
    nextMs: fields.numbers.get(3) ?? 0,
    ...(extras ? { extras: decodeExtras(extras) } : {}),
  };
}

function decodeExtras(bytes: Uint8Array): TrustExtras {
  const fields = decode(bytes);
  const domains = (fields.texts.get(2) ?? []).map((one): DomainTrust => {
    const inner = decode(one);
    const meshRoots = (inner.numbers.get(3) ?? 0) > 0;
    return { trustDomain: textOf(inner, 1), roots: textOf(inner, 2), meshRoots };
  });
  return { ...noExtras, crl: textOf(fields, 1), domains };
}

interface Fields {
  readonly texts: Map<number, Uint8Array[]>;
  readonly numbers: Map<number, number>;
}

function textOf({ texts }: Fields, field: number): string {
  const bytes = texts.get(field)?.at(-1);
  return bytes ? new TextDecoder('utf-8', { fatal: true }).decode(bytes) : '';
}

function decode(bytes: Uint8Array): Fields {
  const reader = new BinaryReader(bytes);
  const fields: Fields = { texts: new Map(), numbers: new Map() };
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (wireType === text) fields.texts.set(field, [...(fields.texts.get(field) ?? []), reader.bytes()]);
    else if (wireType === WireType.Varint) fields.numbers.set(field, reader.uint32());
    else reader.skip(wireType, field);
  }
  return fields;
}
