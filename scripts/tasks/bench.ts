import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { runNode, type Task } from './task.ts';
import { benchPackages, installPackages, nightlyPackages } from './test-machine.ts';

function benchTask(summary: string, program: string, prepare: () => void = () => {}): Task {
  return {
    summary,
    build: true,
    run: async ({ root, args }) => {
      if (!existsSync(join(root, program))) {
        process.stderr.write(`${program} does not exist in this checkout\n`);
        return 2;
      }
      prepare();
      return runNode(root, program, args);
    },
  };
}

const xds = benchTask(
  'CPU, bytes and memory of the control plane (--services N --clients N)',
  'test/bench/xds.ts',
);
const dataPath = benchTask(
  'requests through two sidecars against direct ones',
  'test/bench/data-path.ts',
  () => installPackages(benchPackages),
);
const apply = benchTask('from an acknowledged edit to a request answered the new way', 'test/bench/apply.ts');
const applyMany = benchTask(
  '`ostria apply` of thousands of VirtualServices into a running mesh',
  'test/bench/apply-many.ts',
);
const analyze = benchTask('`ostria analyze` of files (--services N)', 'test/bench/analyze.ts');
const explain = benchTask('`ostria explain` on 1,000 services, cold and warm', 'test/bench/explain.ts');
const plan = benchTask('`ostria plan` of one VirtualService on 1,000 services', 'test/bench/plan.ts');
const ca = benchTask('certificates and connects a second, RSA and ECDSA', 'test/bench/ca.ts');
const compile = benchTask('the incremental compile alone', 'test/bench/compile.ts');
const lazy = benchTask(
  'lazy sidecars: cold first requests, first sync, memory (--services N --used N)',
  'test/bench/lazy.ts',
);
const policies = benchTask(
  'CPU that 1, 10 and 200 AuthorizationPolicies add to a request (--rounds N --seconds N)',
  'test/bench/policies.ts',
  () => installPackages(benchPackages),
);
const store = benchTask('commits, lists and watches of the stores', 'test/bench/store.ts');
const history = benchTask('what time travel costs: an edit, a restart, a look back', 'test/bench/history.ts');

export const benchTasks: Readonly<Record<string, Task>> = {
  bench: {
    summary: 'every benchmark, one JSON document each',
    build: true,
    run: async (context) => {
      let code = 0;
      const all = [xds, dataPath, apply, analyze, explain, compile, lazy, ca, policies, store, history];
      for (const task of all) code = (await task.run({ ...context, args: [] })) || code;
      return code;
    },
  },
  'bench:xds': xds,
  'bench:data-path': dataPath,
  'bench:apply': apply,
  'bench:apply-many': applyMany,
  'bench:analyze': analyze,
  'bench:explain': explain,
  'bench:plan': plan,
  'bench:compile': compile,
  'bench:lazy': lazy,
  'bench:ca': ca,
  'bench:policies': policies,
  'bench:store': store,
  'bench:history': history,
  nightly: {
    summary: 'every test, then every benchmark, with long property tests',
    build: true,
    run: async ({ root }) => {
      const environment = { ...process.env, OSTRIA_NIGHTLY: '1' };
      installPackages(nightlyPackages);
      const tests = await runNode(root, 'scripts/launch.mjs', ['test'], environment);
      const benches = await runNode(root, 'scripts/launch.mjs', ['bench'], environment);
      return tests || benches;
    },
  },
};
