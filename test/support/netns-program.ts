// What runs inside a network namespace of a test: `serve PORT BANNER_PORT UDP_PORT` (HTTP on the two ports after PORT too), or one call, whose outcome it prints as JSON.
import { createSocket } from 'node:dgram';
import { createServer, request } from 'node:http';
import { connect, createServer as createTcp } from 'node:net';

const [command = '', ...args] = process.argv.slice(2);
const patienceMs = 30_000;
const print = (outcome: object): void => void process.stdout.write(`${JSON.stringify(outcome)}\n`);

function serve(http: number, banner: number, udp: number): void {
  const say = ({ remoteAddress }: { remoteAddress?: string | undefined }) =>
    (remoteAddress ?? '').replace(/^::ffff:/, '');
  for (const port of [http, http + 2])
    createServer({ keepAliveTimeout: 0 }, ({ headers, url, socket }, response) =>
      response.end(JSON.stringify({ path: url, host: headers.host, headers, from: say(socket) })),
    ).listen(port, '::');
  createServer({ keepAliveTimeout: 0 }, (_, response) => response.end('undeclared')).listen(http + 1, '::');
  createTcp((socket) => socket.on('error', () => undefined).end('220 hello\r\n')).listen(banner, '::');
  const answers = createSocket('udp4', (message, { port, address }) => answers.send(message, port, address));
  answers.bind(udp, () => print({ serves: true }));
}

function get(url: string, host: string): void {
  const sent = request(url, { timeout: patienceMs, headers: { host }, agent: false }, (response) => {
    let body = '';
    response.on('data', (chunk) => {
      body += chunk;
    });
    response.on('end', () => print({ status: response.statusCode, body }));
  });
  sent.on('timeout', () => sent.destroy(new Error('timed out')));
  sent.on('error', (error) => print({ error: error.message }));
  sent.end();
}

function readBanner(address: string, port: number): void {
  const socket = connect(port, address);
  let text = '';
  socket.setTimeout(patienceMs, () => socket.destroy(new Error('timed out')));
  socket.on('data', (chunk) => {
    text += chunk;
  });
  socket.on('close', () => print({ text }));
  socket.on('error', () => undefined);
}

function echoDatagram(address: string, port: number): void {
  const socket = createSocket('udp4');
  const end = (outcome: object): void => {
    print(outcome);
    clearTimeout(patience);
    socket.close();
  };
  const patience = setTimeout(() => end({ error: 'timed out' }), patienceMs);
  socket.on('message', (message) => end({ text: message.toString() }));
  socket.send('question', port, address);
}

if (command === 'serve') serve(...(args.map(Number) as [number, number, number]));
else if (command === 'get') get(args[0] as string, args[1] as string);
else if (command === 'banner') readBanner(args[0] as string, Number(args[1]));
else if (command === 'datagram') echoDatagram(args[0] as string, Number(args[1]));
