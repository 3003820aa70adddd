import { create } from '@bufbuild/protobuf';
import {
  type Address,
  AddressSchema,
  type CidrRange,
  CidrRangeSchema,
  SocketAddress_Protocol,
} from '../../gen/proto/envoy/config/core/v3/address_pb.js';

/** A TCP socket address, or a pipe for `unix:///path`. */
export function socketAddress(address: string, port: number): Address {
  if (address.startsWith('unix://'))
    return create(AddressSchema, {
      address: { case: 'pipe', value: { path: address.slice('unix://'.length) } },
    });
  return create(AddressSchema, {
    address: {
      case: 'socketAddress',
      value: { address, portSpecifier: { case: 'portValue', value: port } },
    },
  });
}

export function udpAddress(address: string, port: number): Address {
  const made = socketAddress(address, port);
  if (made.address.case === 'socketAddress') made.address.value.protocol = SocketAddress_Protocol.UDP;
  return made;
}

/** `10.0.0.0/8`; a bare address is a range of one. */
export function cidrRange(range: string): CidrRange {
  const slash = range.indexOf('/');
  const address = slash < 0 ? range : range.slice(0, slash);
  const length = slash < 0 ? (address.includes(':') ? 128 : 32) : Number(range.slice(slash + 1));
  return create(CidrRangeSchema, { addressPrefix: address, prefixLen: length });
}
