import {
  type Client,
  credentials,
  Metadata,
  makeClientConstructor,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  type ServiceError,
  type sendUnaryData,
  status,
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
  collect: { path: '/test.Echo/Collect', requestStream: true, responseStream: false, ...text },
  count: { path: '/test.Echo/Count', requestStream: false, responseStream: true, ...text },
  fail: { path: '/test.Echo/Fail', requestStream: false, responseStream: false, ...text },
  flaky: { path: '/test.Echo/Flaky', requestStream: false, responseStream: false, ...text },
  silent: { path: '/test.Echo/Silent', requestStream: false, responseStream: false, ...text },
};

/** Messages that `flaky` has refused once, whichever server of this process did. */
const refused = new Set<string>();

/**
 * A gRPC server that answers with its name and the message, on unary calls and on streams of each kind. `fail` refuses with the message in
 * the status and in a trailer, `flaky` does so once per message, `silent` says nothing.
 */
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
    collect: (call: ServerReadableStream<string, string>, answer: sendUnaryData<string>) => {
      const messages: string[] = [];
      call.on('data', (message: string) => messages.push(message));
      call.on('end', () => answer(null, messages.join()));
    },
    count: (call: ServerWritableStream<string, string>) => {
      for (let number = 1; number <= Number(call.request); number++) call.write(String(number));
      const trailer = new Metadata();
      trailer.set('counted', call.request);
      call.end(trailer);
    },
    fail: (call: ServerUnaryCall<string, string>, answer: sendUnaryData<string>) => {
      const metadata = new Metadata();
      metadata.set('reason', call.request);
      answer({ code: status.FAILED_PRECONDITION, details: `not ${call.request}`, metadata });
    },
    flaky: (call: ServerUnaryCall<string, string>, answer: sendUnaryData<string>) => {
      if (refused.has(call.request)) return answer(null, call.request);
      refused.add(call.request);
      answer({ code: status.UNAVAILABLE, details: 'not yet' });
    },
    silent: () => undefined,
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
  collect(
    answer: (error: Error | null, value?: string) => void,
  ): import('@grpc/grpc-js').ClientWritableStream<string>;
  count(message: string): import('@grpc/grpc-js').ClientReadableStream<string>;
  fail(message: string, answer: (error: ServiceError | null, value?: string) => void): void;
  flaky(message: string, answer: (error: ServiceError | null, value?: string) => void): void;
  silent(
    message: string,
    options: { deadline: number },
    answer: (error: ServiceError | null, value?: string) => void,
  ): void;
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
    collect: (messages: readonly string[]) =>
      new Promise<string>((resolve, reject) => {
        const call = client.collect((error, value) => (error ? reject(error) : resolve(value ?? '')));
        for (const message of messages) call.write(message);
        call.end();
      }),
    /** The numbers, and what the trailer says. */
    count: (to: number) =>
      new Promise<{ numbers: string[]; trailer: unknown }>((resolve, reject) => {
        const numbers: string[] = [];
        const call = client.count(String(to));
        call.on('data', (number: string) => numbers.push(number));
        call.on('error', reject);
        call.on('status', ({ metadata }) => resolve({ numbers, trailer: metadata.get('counted')[0] }));
      }),
    /** The error of a call that fails. */
    fail: (method: 'fail' | 'flaky', message: string) =>
      new Promise<ServiceError | undefined>((resolve) =>
        client[method](message, (error) => resolve(error ?? undefined)),
      ),
    silent: (deadlineMs: number) =>
      new Promise<ServiceError | undefined>((resolve) =>
        client.silent('anybody?', { deadline: Date.now() + deadlineMs }, (error) =>
          resolve(error ?? undefined),
        ),
      ),
    close: () => client.close(),
  };
}
