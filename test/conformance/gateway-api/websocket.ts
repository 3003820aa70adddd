import { createHash, randomBytes } from 'node:crypto';
import { type IncomingMessage, request } from 'node:http';
import type { Duplex } from 'node:stream';

const magic = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

function acceptKey(key: string): string {
  return createHash('sha1').update(`${key}${magic}`).digest('base64');
}

/** Switches protocols as RFC 6455 says, and sends back what comes. */
export function acceptWebSocket(request: IncomingMessage, socket: Duplex): void {
  const key = acceptKey(String(request.headers['sec-websocket-key'] ?? ''));
  socket.on('error', () => undefined);
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ${key}\r\n\r\n`,
  );
  socket.on('data', (chunk) => socket.write(chunk));
}

/** Opens a WebSocket through a port; resolves to whether the handshake held and bytes came back. */
export function webSocketWorks(port: number, path: string, host: string): Promise<boolean> {
  const key = randomBytes(16).toString('base64');
  return new Promise((resolve, reject) => {
    const outgoing = request({
      host: '127.0.0.1',
      port,
      path,
      headers: {
        host,
        connection: 'Upgrade',
        upgrade: 'websocket',
        'sec-websocket-key': key,
        'sec-websocket-version': '13',
      },
    });
    outgoing.on('error', reject);
    outgoing.on('response', (response) => {
      response.resume();
      resolve(false);
    });
    outgoing.on('upgrade', (response, socket) => {
      if (response.headers['sec-websocket-accept'] !== acceptKey(key)) return resolve(false);
      socket.on('error', reject);
      socket.once('data', (chunk) => {
        socket.destroy();
        resolve(String(chunk) === 'hello');
      });
      socket.write('hello');
    });
    outgoing.end();
  });
}
