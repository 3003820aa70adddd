import { defineConfig } from 'vitest/config';
import { LongestFirst } from './scripts/tasks/longest-first.ts';

export default defineConfig({
  test: {
    include: [
      'src/**/*.test.ts',
      'test/**/*.test.ts',
      'samples/**/*.test.ts',
      'tools/**/*.test.ts',
      'scripts/**/*.test.ts',
    ],
    // A machine that does many things at once is slow, not wrong: what takes this long hangs.
    testTimeout: 180_000,
    hookTimeout: 300_000,
    expect: { poll: { timeout: 30_000, interval: 20 } },
    maxWorkers: 2,
    globalSetup: ['test/support/reaper.ts'],
    sequence: { sequencer: LongestFirst },
  },
});
