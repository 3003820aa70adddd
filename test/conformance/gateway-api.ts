import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { runCase, runDistribution, type SuiteCase } from './gateway-api/cases.ts';
import { runCheck, type StatusCheck } from './gateway-api/checks.ts';
import { extraSteps } from './gateway-api/extra-steps.ts';
import { type SuiteMesh, startSuiteMesh } from './gateway-api/suite-mesh.ts';
import type { CaseOutcome } from './group.ts';

interface SuiteTest {
  test: string;
  suite: 'gateway' | 'mesh';
  manifests: string[];
  gateways?: Record<string, { name: string; port: number }[]>;
  statusChecks: StatusCheck[];
  cases: SuiteCase[];
}

/** How long what was applied may take to show, in ms. */
const patienceMs = 30_000;

/** `gateway-api/conformance.json`: statuses, and requests through real Envoys to real backends. `GWAPI_TEST` picks tests by name. */
export async function runGatewayApiCases(folder: string): Promise<CaseOutcome[]> {
  const directory = join(folder, 'gateway-api');
  const file = join(directory, 'conformance.json');
  if (!existsSync(file)) return [];
  const all = JSON.parse(readFileSync(file, 'utf8')) as SuiteTest[];
  const only = process.env.GWAPI_TEST;
  const tests = only ? all.filter(({ test }) => new RegExp(only).test(test)) : all;
  const mesh = await startSuiteMesh(join(directory, 'manifests'));
  try {
    await mesh.apply(['base/manifests.yaml']);
    await mesh.apply(['mesh/manifests.yaml']);
    const outcomes: CaseOutcome[] = [];
    for (const test of tests) outcomes.push(await runTest(mesh, test));
    return outcomes;
  } finally {
    await mesh.stop();
  }
}

async function runTest(mesh: SuiteMesh, test: SuiteTest): Promise<CaseOutcome> {
  const refused = mesh.refusals.length;
  const undo = await mesh.apply(test.manifests);
  try {
    const extra = extraSteps[test.test];
    await extra?.before?.(mesh);
    const late = ({ check, condition }: StatusCheck): boolean =>
      check === 'ExpectMirroredRequest' || (extra?.late === true && condition?.status === 'False');
    const check = async (one: StatusCheck): Promise<void> => {
      await extra?.beforeCheck?.(mesh, one);
      await eventually(one, async () => runCheck(mesh, one));
    };
    for (const one of test.statusChecks) if (!late(one)) await check(one);
    for (const [index, one] of test.cases.entries()) {
      extra?.beforeCase?.(mesh, one.step ?? '');
      await eventually(one, () => runOne(mesh, test, one, index));
    }
    for (const one of test.statusChecks) if (late(one)) await check(one);
    await extra?.after?.(mesh);
    if (mesh.refusals.length > refused)
      throw new Error(`an Envoy refused: ${mesh.refusals.slice(refused).join('; ').slice(0, 500)}`);
    return { name: test.test, outcome: 'passed' };
  } catch (error) {
    return { name: test.test, outcome: 'failed', why: (error as Error).message };
  } finally {
    await undo();
  }
}

async function runOne(mesh: SuiteMesh, test: SuiteTest, written: SuiteCase, index: number): Promise<void> {
  const one = withPort(test, written);
  if (one.kind !== 'weightedDistribution') return runCase(mesh, one);
  const like = test.cases.slice(0, index).findLast(({ kind }) => kind !== 'weightedDistribution');
  if (!like) throw new Error('no request goes before the distribution');
  return runDistribution(mesh, withPort(test, like), one);
}

/** `port: null`: the listener whose name the step holds. */
function withPort(test: SuiteTest, one: SuiteCase): SuiteCase {
  if (one.port || !one.gateway) return one;
  const listeners = test.gateways?.[one.gateway] ?? [];
  const words = (one.step ?? '').toLowerCase();
  const named = listeners.find(({ name }) => words.includes(`listener_${name.toLowerCase()}`));
  return { ...one, port: (named ?? listeners[0])?.port ?? 80 };
}

/** Tries until it holds or the patience is over: updates take their time to reach a proxy. */
async function eventually(what: SuiteCase | StatusCheck, attempt: () => Promise<void>): Promise<void> {
  const until = performance.now() + patienceMs;
  for (;;)
    try {
      return await attempt();
    } catch (error) {
      if (performance.now() > until) throw new Error(`${what.step ?? ''}: ${(error as Error).message}`);
      await sleep(50);
    }
}
