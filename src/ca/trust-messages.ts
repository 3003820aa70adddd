import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';

/* Two messages of three fields, written by hand: the agent is to stay small. */

export const TRUST_SYNC_PATH = '/ostria.v1.TrustService/Sync';

/** What a workload says of itself. */
export interface TrustRequest {
  /** Hash of the roots that it trusts. */
  readonly bundle: string;
  /** Its name, `name.namespace`: tells replicas of one identity apart. */
  readonly instance: string;
}

export interface TrustResponse {
  /** PEM; '' when what it has is right. */
  readonly bundle: string;
  readonly renew: boolean;
  /** When to ask again, in ms. */
  readonly nextMs: number;
}

const maxText = 256;

export function encodeTrustRequest({ bundle, instance }: TrustRequest): Uint8Array {
  const writer = new BinaryWriter();
  writer.tag(1, WireType.LengthDelimited).string(bundle);
  return writer.tag(2, WireType.LengthDelimited).string(instance).finish();
}

/** Throws for what is no such message, or one with absurd texts. */
export function decodeTrustRequest(bytes: Uint8Array): TrustRequest {
  const { texts } = decode(bytes);
  const [bundle = '', instance = ''] = [texts.get(1), texts.get(2)];
  if (bundle.length > maxText || instance.length > maxText) throw new Error('a text is too long');
  return { bundle, instance };
}

export function encodeTrustResponse({ bundle, renew, nextMs }: TrustResponse): Uint8Array {
  const writer = new BinaryWriter();
  if (bundle !== '') writer.tag(1, WireType.LengthDelimited).string(bundle);
  if (renew) writer.tag(2, WireType.Varint).bool(true);
  return writer.tag(3, WireType.Varint).uint32(Math.round(nextMs)).finish();
}

export function decodeTrustResponse(bytes: Uint8Array): TrustResponse {
  const { texts, numbers } = decode(bytes);
  return { bundle: texts.get(1) ?? '', renew: (numbers.get(2) ?? 0) > 0, nextMs: numbers.get(3) ?? 0 };
}

function decode(bytes: Uint8Array): { texts: Map<number, string>; numbers: Map<number, number> } {
  const reader = new BinaryReader(bytes);
  const [texts, numbers] = [new Map<number, string>(), new Map<number, number>()];
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (wireType === WireType.LengthDelimited) texts.set(field, reader.string());
    else if (wireType === WireType.Varint) numbers.set(field, reader.uint32());
    else reader.skip(wireType, field);
  }
  return { texts, numbers };
}
