import { GrpcError, grpcStatus } from '../kit/grpc-http2.ts';
import { mostNames, type NamesAnswer, type NamesRequest, namesPath } from '../kit/names-call.ts';
import { isDomain } from '../plan/authority.ts';
import { nameAddresses } from '../plan/name-addresses.ts';
import type { Engine } from '../snapshot/engine/engine.ts';
import { inspect } from '../snapshot/rebuild.ts';
import type { OwnCall, OwnRequest } from './own-call.ts';

/** `ostria.v1.NamesService/Resolve`: what names mean to the application beside a connected proxy. */
export function namesCall(engine: Engine): OwnCall {
  return {
    path: namesPath,
    read(request) {
      const { names } = request as NamesRequest;
      if (!Array.isArray(names) || names.length > mostNames || names.some((name) => typeof name !== 'string'))
        throw new Error(`names must be a list of at most ${mostNames} names`);
      return () => resolve(engine, request, names);
    },
  };
}

function resolve(engine: Engine, asking: OwnRequest, names: readonly string[]): NamesAnswer {
  const { workload, namespace, serviceAccount } = asking;
  const proxy = [...engine.proxies.values()].find(
    (one) => one.name === workload && one.namespace === namespace && one.serviceAccount === serviceAccount,
  );
  if (!proxy)
    throw new GrpcError(grpcStatus.unavailable, `no proxy of ${namespace}/${workload} is connected`);
  const addresses = inspect(engine.world, engine.world.mesh, proxy, (view) =>
    names.map((name) => [name, (isDomain(name) && nameAddresses(view, name)) || null] as const),
  );
  return { addresses: Object.fromEntries(addresses) };
}
