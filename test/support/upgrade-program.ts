// An HTTP server that says back whatever it is told on upgraded connections. Listens on $PORT.
import { createServer } from 'node:http';

const server = createServer({ keepAliveTimeout: 0 }, (_, response) => response.end('ready\n'));
server.on('upgrade', (request, socket) => {
  socket.on('error', () => socket.destroy());
  const { upgrade = '' } = request.headers;
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${upgrade}\r\n\r\n`);
  socket.pipe(socket);
});
server.listen(Number(process.env.PORT), '127.0.0.1');
