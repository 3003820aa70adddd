import type { ApiClient } from '../api/api-client.ts';
import type { MeshGateway } from '../mesh-file/mesh-file.ts';
import { ObjectsWatch } from './objects-watch.ts';
import { gatewaysToStart } from './started-gateways.ts';

const group = '/apis/gateway.networking.k8s.io/v1';

/** Follows the Gateways of the store, and tells which Envoys they want. */
export function gatewayWatch(options: {
  client: () => ApiClient;
  onChange: (gateways: readonly MeshGateway[]) => Promise<void>;
  log: (line: string) => void;
}): { run(signal: AbortSignal): Promise<void> } {
  return new ObjectsWatch({
    what: 'Gateways',
    // What decides which gateways are to run.
    paths: {
      gateways: `${group}/gateways`,
      classes: `${group}/gatewayclasses`,
      listenerSets: `${group}/listenersets`,
    },
    client: options.client,
    onChange: (objects) => options.onChange(gatewaysToStart(objects)),
    log: options.log,
  });
}
