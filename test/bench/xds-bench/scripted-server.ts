import { typeUrls } from '../../../src/snapshot/resource.ts';
import { createLedger } from '../../../src/xds/ledger.ts';
import { createXdsServer } from '../../../src/xds/server.ts';
import { real } from '../../xds/real-envoy.ts';
import { ScriptedSource } from '../../xds/scripted-source.ts';

/**
 * The delivery alone: the xDS server over resources that were made before, with no compile. For work on src/xds;
 * `bench:xds -- --scripted`.
 */
export type ScriptedEdit = 'virtual-service' | 'endpoints' | 'service' | 'everything';

const services = Number(process.argv[2]);
const endpoints = Number(process.argv[3]);
const host = (i: number): string => `svc-${i}.ns-0.svc.cluster.local`;
const clusterName = (i: number): string => `outbound|80||${host(i)}`;
const ports = (from: number): number[] => Array.from({ length: endpoints }, (_, i) => from + i);
const hostOf = (i: number, cluster: string) => real.host('80', `${host(i)}:80`, cluster);

const source = new ScriptedSource([real.listener(15001, '80'), real.route('80')]);
source.edit({
  upserts: Array.from({ length: services }, (_, i) => [
    real.cluster(clusterName(i)),
    real.endpoints(clusterName(i), ports(1000)),
    hostOf(i, clusterName(i)),
  ]).flat(),
});
const silent = { info: () => undefined, warn: console.error, debug: () => undefined };
const server = createXdsServer({
  source,
  ledger: createLedger(),
  authenticate: () => ({ ok: true, identity: undefined }),
  listeners: [{ name: 'plaintext', host: '127.0.0.1', port: 0 }],
  log: silent,
});
await server.start();
process.send?.({ port: server.ports.get('plaintext') });

let count = 0;
process.on('message', (edit: ScriptedEdit | 'probe') => {
  if (edit === 'probe') return;
  count++;
  const next = services + count;
  if (edit === 'virtual-service') source.edit({ upserts: [hostOf(7, clusterName(count))] });
  else if (edit === 'endpoints')
    source.edit({ upserts: [real.endpoints(clusterName(8), ports(2000 + count))] });
  else if (edit === 'service')
    source.edit({
      upserts: [
        real.cluster(clusterName(next)),
        real.endpoints(clusterName(next), ports(1000)),
        hostOf(next, clusterName(next)),
      ],
    });
  else {
    const hosts = [...source.resources('', typeUrls.virtualHost).values()];
    source.edit({ upserts: hosts.map((_, i) => hostOf(i, clusterName(i + count))) });
  }
});

process.on('SIGTERM', () => process.exit(0));
