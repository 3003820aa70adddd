import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from '@grpc/grpc-js';
import {
  type RateLimitRequest,
  RateLimitRequestSchema,
  type RateLimitResponse,
  RateLimitResponse_Code,
  RateLimitResponseSchema,
} from '../../gen/proto/envoy/service/ratelimit/v3/rls_pb.js';

export interface RateLimitService {
  /** Requests that were asked about, by domain and descriptor: `domain key=value,key=value`. */
  readonly asked: ReadonlyMap<string, number>;
  stop(): void;
}

/** A rate-limit service on a loopback port. `limits`: how many requests each descriptor lets through in all; others are unlimited. */
export async function startRateLimitService(
  port: number,
  limits: Readonly<Record<string, number>>,
): Promise<RateLimitService> {
  const asked = new Map<string, number>();
  const server = new Server();
  server.addService(
    {
      shouldRateLimit: {
        path: '/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit',
        requestStream: false,
        responseStream: false,
        requestSerialize: (message: RateLimitRequest) =>
          Buffer.from(toBinary(RateLimitRequestSchema, message)),
        requestDeserialize: (bytes: Buffer) => fromBinary(RateLimitRequestSchema, bytes),
        responseSerialize: (message: RateLimitResponse) =>
          Buffer.from(toBinary(RateLimitResponseSchema, message)),
        responseDeserialize: (bytes: Buffer) => fromBinary(RateLimitResponseSchema, bytes),
      },
    },
    {
      shouldRateLimit: (
        call: ServerUnaryCall<RateLimitRequest, RateLimitResponse>,
        answer: sendUnaryData<RateLimitResponse>,
      ) => answer(null, judge(call.request)),
    },
  );
  const judge = ({ domain, descriptors }: RateLimitRequest): RateLimitResponse => {
    const statuses = descriptors.map(({ entries }) => {
      const id = `${domain} ${entries.map(({ key, value }) => `${key}=${value}`).join(',')}`;
      const count = (asked.get(id) ?? 0) + 1;
      asked.set(id, count);
      return count > (limits[id] ?? Number.POSITIVE_INFINITY);
    });
    const over = statuses.some(Boolean);
    return create(RateLimitResponseSchema, {
      overallCode: over ? RateLimitResponse_Code.OVER_LIMIT : RateLimitResponse_Code.OK,
      statuses: statuses.map((isOver) => ({
        code: isOver ? RateLimitResponse_Code.OVER_LIMIT : RateLimitResponse_Code.OK,
      })),
    });
  };
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error) =>
      error ? reject(error) : resolve(),
    ),
  );
  return { asked, stop: () => server.forceShutdown() };
}
