import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * Test files of half a minute and more, the longest first: one that begins last keeps a single worker busy while the others are
 * done. One that is missing here costs time, nothing else.
 */
const long = [
  'test/property/compile.test.ts',
  'test/golden/engine.test.ts',
  'test/golden/real-envoy.test.ts',
  'test/golden/golden.test.ts',
  'test/golden/every-field.test.ts',
  'test/e2e/standalone/lifecycle.test.ts',
  'test/e2e/compile/differential.test.ts',
  'test/e2e/direct/bookinfo.test.ts',
  'test/e2e/agent/agent.test.ts',
  'test/e2e/direct/tools.test.ts',
  'test/e2e/direct/test-on-envoy.test.ts',
  'test/e2e/direct/kill.test.ts',
  'test/e2e/direct/status.test.ts',
  'test/e2e/direct/ways-to-run.test.ts',
  'test/e2e/direct/trust.test.ts',
  'test/e2e/standalone/explain.test.ts',
  'test/e2e/direct/edits.test.ts',
  'test/e2e/direct/rotation.test.ts',
  'src/snapshot/engine/engine.property.test.ts',
  'src/cli/cli.test.ts',
];

/** The order in which workers take test files. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const index = long.findIndex((path) => moduleId.endsWith(path));
      return index < 0 ? long.length : index;
    };
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}
