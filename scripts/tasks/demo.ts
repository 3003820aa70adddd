import { runNode, type Task } from './task.ts';

export const demoTask: Task = {
  summary: 'Bookinfo behind Envoy sidecars on this machine (-- --detach returns when it is ready)',
  build: true,
  run: ({ root, args }) =>
    runNode(root, 'bin/ostria.mjs', ['up', '-f', 'samples/bookinfo/mesh.yaml', ...args]),
};
