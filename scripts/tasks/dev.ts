import { runNode, type Task } from './task.ts';

export const devTask: Task = {
  summary: 'the demo from the sources: the control plane and the sample restart when their files change',
  run: ({ root, args }) =>
    runNode(root, 'bin/ostria.mjs', ['up', '-f', 'samples/bookinfo/mesh.yaml', '--watch', ...args], {
      ...process.env,
      OSTRIA_FROM_SOURCE: '1',
    }),
};
