import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * Test files of ten seconds and more, the longest first: one that begins last keeps a single worker busy while the others are
 * done. One that is missing here costs time, nothing else.
 */
export const longFiles = [
  'test/property/compile.test.ts',
  'test/golden/engine.test.ts',
  'test/golden/real-envoy.test.ts',
  'test/golden/golden.test.ts',
  'test/golden/every-field.test.ts',
  'test/property/plan.test.ts',
  'test/property/fuzz.test.ts',
  'test/e2e/compile/differential.test.ts',
  'test/e2e/standalone/lifecycle.test.ts',
  'test/e2e/standalone/explain.test.ts',
  'test/e2e/direct/bookinfo.test.ts',
  'test/e2e/direct/trust.test.ts',
  'test/e2e/agent/agent.test.ts',
  'test/e2e/direct/status.test.ts',
  'test/e2e/direct/ways-to-run.test.ts',
  'test/e2e/standalone/apply-wait.test.ts',
  'test/e2e/direct/kill.test.ts',
  'test/e2e/direct/tools.test.ts',
  'test/e2e/direct/test-on-envoy.test.ts',
  'test/e2e/direct/edits.test.ts',
  'test/e2e/compile/authorization-random.test.ts',
  'test/e2e/direct/zero-trust.test.ts',
  'test/e2e/compile/limits.test.ts',
  'test/e2e/direct/rotation.test.ts',
  'test/xds/limits.test.ts',
  'src/snapshot/engine/engine.property.test.ts',
  'src/config/api-server/kubectl.test.ts',
  'src/cli/cli.test.ts',
  'src/cli/commands/analyze.test.ts',
  'samples/bookinfo/src/bookinfo.test.ts',
];

/** The order in which workers take test files. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const index = longFiles.findIndex((path) => moduleId.endsWith(path));
      return index < 0 ? longFiles.length : index;
    };
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}
