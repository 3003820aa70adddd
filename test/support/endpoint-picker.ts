import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js';
import {
  type ProcessingRequest,
  ProcessingRequestSchema,
  type ProcessingResponse,
  ProcessingResponseSchema,
} from '../../gen/proto/envoy/service/ext_proc/v3/external_processor_pb.js';

export interface EndpointPicker {
  /** What it names for the next requests; undefined: nothing. */
  endpoint: string | undefined;
  /** Bodies of requests that it saw. */
  readonly bodies: string[];
  stop(): void;
}

/** An endpoint picker of the inference extension's protocol on a loopback port: it looks at the body before it chooses. */
export async function startEndpointPicker(port: number): Promise<EndpointPicker> {
  const server = new Server();
  const picker: EndpointPicker = { endpoint: undefined, bodies: [], stop: () => server.forceShutdown() };
  const process = (call: ServerDuplexStream<ProcessingRequest, ProcessingResponse>): void => {
    let body = Buffer.alloc(0);
    const answer = (response: ProcessingResponse['response']): void => {
      call.write(create(ProcessingResponseSchema, { response }));
    };
    const choose = (): void => {
      const chosen = picker.endpoint;
      const setHeaders = chosen
        ? [{ header: { key: 'x-gateway-destination-endpoint', rawValue: Buffer.from(chosen) } }]
        : [];
      answer(
        create(ProcessingResponseSchema, {
          response: { case: 'requestHeaders', value: { response: { headerMutation: { setHeaders } } } },
        }).response,
      );
    };
    const stream = (phase: 'requestBody' | 'responseBody', bytes: Uint8Array, endOfStream: boolean): void =>
      answer(
        create(ProcessingResponseSchema, {
          response: {
            case: phase,
            value: {
              response: {
                bodyMutation: {
                  mutation: { case: 'streamedResponse', value: { body: bytes, endOfStream } },
                },
              },
            },
          },
        }).response,
      );
    call.on('data', ({ request }: ProcessingRequest) => {
      switch (request.case) {
        case 'requestHeaders':
          if (request.value.endOfStream) choose();
          return;
        case 'requestBody':
          body = Buffer.concat([body, request.value.body]);
          if (!request.value.endOfStream) return;
          picker.bodies.push(body.toString());
          choose();
          stream('requestBody', body, true);
          return;
        case 'responseHeaders':
          answer(
            create(ProcessingResponseSchema, { response: { case: 'responseHeaders', value: {} } }).response,
          );
          return;
        case 'responseBody':
          stream('responseBody', request.value.body, request.value.endOfStream);
          return;
      }
    });
    call.on('end', () => call.end());
    call.on('error', () => undefined);
  };
  server.addService(
    {
      process: {
        path: '/envoy.service.ext_proc.v3.ExternalProcessor/Process',
        requestStream: true,
        responseStream: true,
        requestSerialize: (message: ProcessingRequest) =>
          Buffer.from(toBinary(ProcessingRequestSchema, message)),
        requestDeserialize: (bytes: Buffer) => fromBinary(ProcessingRequestSchema, bytes),
        responseSerialize: (message: ProcessingResponse) =>
          Buffer.from(toBinary(ProcessingResponseSchema, message)),
        responseDeserialize: (bytes: Buffer) => fromBinary(ProcessingResponseSchema, bytes),
      },
    },
    { process },
  );
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error) =>
      error ? reject(error) : resolve(),
    ),
  );
  return picker;
}
