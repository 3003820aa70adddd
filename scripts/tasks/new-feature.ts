import { relative } from 'node:path';
import { parseFeatureName, scaffoldFeature } from '../../tools/new-feature/new-feature.ts';
import type { Task } from './task.ts';

export const newFeatureTask: Task = {
  summary: 'make the folder of a new capability (-- traffic/header-limit)',
  run: async ({ root, args }) => {
    const feature = parseFeatureName(args[0]);
    if (typeof feature === 'string') {
      process.stderr.write(`${feature}\n`);
      return 2;
    }
    try {
      for (const path of scaffoldFeature(root, feature))
        process.stdout.write(`wrote ${relative(root, path)}\n`);
    } catch (error) {
      process.stderr.write(`${(error as Error).message}\n`);
      return 1;
    }
    process.stdout.write(
      'Next: say in its files what it does, choose its place in features/index.ts (and in envoy/filter-order.ts, for a filter), then npm run golden:write and look at the difference.\n',
    );
    return 0;
  },
};
