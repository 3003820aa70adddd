import type { Socket } from 'node:net';

const lengthBytes = 2;

/** Cuts what comes over TCP into messages: each has its length before it (RFC 1035, 4.2.2). A message is at most 64 KiB, so is what is kept. */
export function readMessages(socket: Socket, take: (message: Buffer) => void): void {
  let rest = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= lengthBytes) {
      const end = lengthBytes + rest.readUInt16BE(0);
      if (rest.length < end) break;
      take(rest.subarray(lengthBytes, end));
      rest = rest.subarray(end);
    }
  });
}

/** With its length before it. */
export function toStream(message: Buffer): Buffer {
  const length = Buffer.alloc(lengthBytes);
  length.writeUInt16BE(message.length);
  return Buffer.concat([length, message]);
}
