// Real servers and their own clients, each through two real sidecars: nightly, for what they weigh and how long they take to begin.
import { connect } from 'node:net';
import { MongoClient } from 'mongodb';
import { describe, expect, test } from 'vitest';
import { hasProgram } from '../../../scripts/tasks/test-machine.ts';
import { freePort } from '../../support/ports.ts';
import { type Found, findDubbo, findFerretDb, findKafka } from '../../support/protocols/build-programs.ts';
import {
  askMariaDb,
  askPostgres,
  hasMariaDb,
  hasPostgres,
  startMariaDb,
  startPostgres,
} from '../../support/protocols/databases.ts';
import { dubboJava } from '../../support/protocols/dubbo-java.ts';
import { run, type Stop, startServer } from '../../support/protocols/server-process.ts';
import { startZooKeeper, useZooKeeper, zookeeperServer } from '../../support/protocols/zookeeper.ts';
import { type SidecarPair, type SidecarPairOptions, startSidecarPair } from '../../support/sidecar-pair.ts';
import { waitFor } from '../../support/wait-for.ts';

const night = process.env.OSTRIA_NIGHTLY === '1';
const java = hasProgram('javac');

/** Sidecars around a server; `use` is called with them, and all of it ends. */
async function through(
  start: (port: number) => Promise<Stop>,
  options: Omit<SidecarPairOptions, 'app'>,
  use: (pair: SidecarPair) => Promise<void>,
): Promise<void> {
  const app = await freePort();
  const stop = await start(app);
  try {
    const pair = await startSidecarPair({ ...options, app });
    try {
      await use(pair);
      await pair.check();
    } finally {
      await pair.stop();
    }
  } finally {
    await stop();
  }
}

/** Envoy tells of counters when it has flushed them. */
const counted = (pair: SidecarPair, end: 'client' | 'server', name: string, least: number) =>
  waitFor(`${name} to reach ${least}`, async () => (await pair[end].stat(name)) >= least);

function pathOf(found: Found): string {
  if ('missing' in found) throw new Error(found.missing);
  return found.path;
}

/** What a server says first to a plain connection within a second, '' for nothing. */
function firstWords(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    socket.setTimeout(1_000, () => socket.destroy());
    socket.on('data', (data) => {
      resolve(data.toString('latin1'));
      socket.destroy();
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(''));
  });
}

describe.skipIf(!night || !hasMariaDb)('MariaDB, which speaks first', () => {
  const useMariaDb = (port: number): void => {
    askMariaDb(
      port,
      'create database if not exists shop; create or replace table shop.t (id int, v longtext)',
    );
    askMariaDb(port, "insert into shop.t values (1, repeat('x', 4000000)), (2, 'small')");
    expect(askMariaDb(port, 'select count(*), max(length(v)) from shop.t')).toBe('2\t4000000');
    expect(askMariaDb(port, 'select v from shop.t where id = 1')).toHaveLength(4_000_000);
  };
  const mysql = { protocol: 'mysql', port: 3306 } as const;

  test('STRICT: through both sidecars, and nothing is said to who has none', () =>
    through(startMariaDb, { ...mysql, mode: 'STRICT' }, async (pair) => {
      useMariaDb(pair.local);
      expect(await firstWords(pair.inbound)).toBe('');
      await counted(pair, 'client', `tcp.${pair.cluster}.downstream_cx_total`, 4);
    }));

  test('PERMISSIVE: through both sidecars; who has none waits for as long as the detection lasts', () =>
    through(
      startMariaDb,
      { ...mysql, mode: 'PERMISSIVE', protocolDetectionTimeout: '100ms' },
      async (pair) => {
        useMariaDb(pair.local);
        expect(askMariaDb(pair.inbound, 'select 40 + 2')).toBe('42');
      },
    ));

  test('PERMISSIVE without an end of the detection: who has no sidecar is told nothing', () =>
    through(startMariaDb, { ...mysql, mode: 'PERMISSIVE' }, async (pair) => {
      useMariaDb(pair.local);
      expect(await firstWords(pair.inbound)).toBe('');
    }));
});

describe.skipIf(!night || !hasPostgres)('PostgreSQL, whose clients ask for TLS first', () => {
  test.each(['STRICT', 'PERMISSIVE', 'DISABLE'] as const)('%s', (mode) =>
    through(startPostgres, { protocol: 'postgres', port: 5432, mode }, async (pair) => {
      for (const tls of ['disable', 'require'] as const) {
        const asked =
          "select ssl, length(repeat('x', 4000000)) from pg_stat_ssl where pid = pg_backend_pid()";
        expect(askPostgres(pair.local, asked, tls)).toBe(`${tls === 'require' ? 't' : 'f'}|4000000`);
        if (mode !== 'STRICT') expect(askPostgres(pair.inbound, 'select 42', tls)).toBe('42');
      }
      expect(askPostgres(pair.local, "select repeat('x', 4000000)", 'disable')).toHaveLength(4_000_000);
    }),
  );
});

test.skipIf(!night || !hasProgram('go'))(
  'Kafka: what a client writes it reads again',
  { timeout: 2_100_000 },
  () => {
    const program = pathOf(findKafka());
    const start = (port: number) =>
      startServer('kafka', {
        command: () => [program, 'serve', String(port)],
        ready: async () => run(program, ['use', `127.0.0.1:${port}`, '0']),
      });
    return through(start, { protocol: 'kafka', port: 9092 }, async (pair) => {
      expect(run(program, ['use', `127.0.0.1:${pair.local}`, '2000'])).toBe('2000\n');
      await counted(pair, 'client', `tcp.${pair.cluster}.downstream_cx_total`, 2);
    });
  },
);

test.skipIf(!night || !hasProgram('go'))(
  'MongoDB: FerretDB and the driver, with a password (SCRAM), cursors and large documents',
  { timeout: 2_100_000 },
  () => {
    const program = pathOf(findFerretDb());
    const url = (port: number) => `mongodb://root:secret@127.0.0.1:${port}/shop?directConnection=true`;
    const ping = async (port: number): Promise<void> => {
      const mongo = new MongoClient(url(port), { serverSelectionTimeoutMS: 2_000 });
      try {
        await mongo.db('shop').command({ ping: 1 });
      } finally {
        await mongo.close();
      }
    };
    const start = (port: number) =>
      startServer('ferretdb', {
        command: (directory) => [
          program,
          ...['--handler=sqlite', `--sqlite-url=file:${directory}/`, `--state-dir=${directory}`],
          ...[`--listen-addr=127.0.0.1:${port}`, '--debug-addr=-', '--telemetry=disable', '--log-level=warn'],
          ...['--test-enable-new-auth', '--setup-username=root', '--setup-password=secret'],
          '--setup-database=shop',
        ],
        ready: () => ping(port),
      });
    return through(start, { protocol: 'mongo', port: 27017 }, async (pair) => {
      const mongo = new MongoClient(url(pair.local));
      try {
        const things = mongo.db('shop').collection('things');
        await things.insertMany(Array.from({ length: 5_000 }, (_, index) => ({ index, text: 'small' })));
        await things.insertOne({ index: -1, text: 'x'.repeat(8_000_000) });
        expect(await things.find().batchSize(500).toArray()).toHaveLength(5_001);
        expect((await things.findOne({ index: -1 }))?.text).toHaveLength(8_000_000);
        const { modifiedCount } = await things.updateMany(
          { index: { $gte: 4_980 } },
          { $set: { text: 'more' } },
        );
        expect([modifiedCount, await things.countDocuments({ text: 'more' })]).toEqual([20, 20]);
      } finally {
        await mongo.close();
      }
      const wrong = new MongoClient(url(pair.local).replace('secret', 'guess'));
      await expect(wrong.connect()).rejects.toThrow(/[Aa]uthentication failed/);
      await wrong.close();
      await counted(pair, 'client', `mongo.${pair.cluster}.op_query`, 1);
      await counted(pair, 'server', 'mongo.inbound|27017||.op_reply', 1);
    });
  },
);

describe.skipIf(!night || !java || !hasProgram('mvn'))('Dubbo: Apache’s provider and consumer', () => {
  test.each([
    ['as TCP', false],
    ['with the filter', true],
  ])(
    '%s',
    (_, filters) => {
      const { start, call } = dubboJava(pathOf(findDubbo()));
      return through(start, { protocol: 'dubbo', port: 20880, filters }, async (pair) => {
        expect(call(pair.local, 100)).toBe('on purpose');
        if (!filters) return;
        await counted(pair, 'client', `dubbo.${pair.cluster}.request_twoway`, 101);
        await counted(pair, 'client', `dubbo.${pair.cluster}.response_business_exception`, 1);
      });
    },
    // Where the jars are not there yet they are fetched.
    2_100_000,
  );
});

test.skipIf(!night || !hasProgram(zookeeperServer))(
  'ZooKeeper: its own client writes and reads, and the filter counts',
  () =>
    through(startZooKeeper, { protocol: 'zookeeper', port: 2181 }, async (pair) => {
      expect(useZooKeeper(pair.local)).toContain('hello-from-the-client');
      for (const request of ['connect', 'create', 'getdata'])
        await counted(pair, 'client', `${pair.cluster}.zookeeper.${request}_rq`, 1);
      await counted(pair, 'server', 'inbound|2181||.zookeeper.getdata_rq', 1);
    }),
);
