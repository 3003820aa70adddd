import {
  type Client,
  credentials,
  Metadata,
  makeClientConstructor,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServiceDefinition,
  type sendUnaryData,
} from '@grpc/grpc-js';

const text = {
  requestSerialize: (value: string) => Buffer.from(value),
  requestDeserialize: (bytes: Buffer) => bytes.toString(),
  responseSerialize: (value: string) => Buffer.from(value),
  responseDeserialize: (bytes: Buffer) => bytes.toString(),
};

/** Messages are plain bytes: gRPC does not care, and no generated code is needed. */
const service: ServiceDefinition = {
  unary: { path: '/test.Echo/Unary', requestStream: false, responseStream: false, ...text },
  stream: { path: '/test.Echo/Stream', requestStream: true, responseStream: true, ...text },
};

/** A gRPC server that answers with its name and the message, on unary calls and on streams. */
export async function startGrpcEcho(name: string, port: number): Promise<() => void> {
  const server = new Server();
  server.addService(service, {
    unary: (call: ServerUnaryCall<string, string>, answer: sendUnaryData<string>) => {
      const trailer = new Metadata();
      trailer.set('served-by', name);
      answer(null, `${name}: ${call.request}`, trailer);
    },
    stream: (call: ServerDuplexStream<string, string>) => {
      call.on('data', (message: string) => call.write(`${name}: ${message}`));
      call.on('end', () => call.end());
    },
  });
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error) =>
      error ? reject(error) : resolve(),
    ),
  );
  return () => server.forceShutdown();
}

interface EchoClient extends Client {
  unary(message: string, answer: (error: Error | null, value?: string) => void): void;
  stream(): import('@grpc/grpc-js').ClientDuplexStream<string, string>;
}

/** A client with one channel; `close` it. */
export function grpcEcho(port: number) {
  const Echo = makeClientConstructor(service, 'test.Echo');
  const client = new Echo(`127.0.0.1:${port}`, credentials.createInsecure()) as unknown as EchoClient;
  return {
    unary: (message: string) =>
      new Promise<string>((resolve, reject) =>
        client.unary(message, (error, value) => (error ? reject(error) : resolve(value ?? ''))),
      ),
    /** Sends each message when the answer to the one before came: bytes must flow both ways while the call is open. */
    stream: (messages: readonly string[]) =>
      new Promise<string[]>((resolve, reject) => {
        const call = client.stream();
        const answers: string[] = [];
        call.on('data', (answer: string) => {
          answers.push(answer);
          const next = messages[answers.length];
          if (next === undefined) call.end();
          else call.write(next);
        });
        call.on('end', () => resolve(answers));
        call.on('error', reject);
        call.write(messages[0] ?? '');
      }),
    close: () => client.close(),
  };
}
