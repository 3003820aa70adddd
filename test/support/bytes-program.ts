// A server of bytes: says back what it is told. With TLS_CERTIFICATE and TLS_KEY (files) it ends TLS itself. Listens on $PORT.
import { readFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';

const { PORT, TLS_CERTIFICATE: certificate, TLS_KEY: key } = process.env;
const echo = (socket: Socket): void => {
  socket.on('error', () => socket.destroy());
  socket.pipe(socket);
};
const server =
  certificate === undefined || key === undefined
    ? createServer(echo)
    : createTlsServer({ cert: readFileSync(certificate), key: readFileSync(key) }, echo);
server.listen(Number(PORT), '127.0.0.1');
