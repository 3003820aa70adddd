import { rmSync } from 'node:fs';
import { messageOf } from '../../kit/coded-error.ts';
import { processId } from '../../kit/process-id.ts';
import { writeJsonFile } from '../state/json-file.ts';
import { openState } from '../state/state-directory.ts';
import { serveControl } from './control-socket.ts';
import type { JoinRequest } from './mesh-status.ts';
import { Supervisor } from './supervisor.ts';

/** `ostria supervisor --state DIR`: the background process that `up` starts. Resolves when the mesh has ended. */
export async function runSupervisor(directory: string): Promise<void> {
  process.umask(0o077);
  const paths = openState(directory);
  const log = (line: string): void => {
    process.stdout.write(`${new Date().toISOString()} ${line}\n`);
  };
  process.on('uncaughtException', (error) => log(`unexpected: ${error.stack ?? error.message}`));
  process.on('unhandledRejection', (error) =>
    log(`unexpected: ${error instanceof Error ? error.stack : String(error)}`),
  );

  const supervisor = new Supervisor(paths, log);
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  const stop = (): void => {
    void supervisor.stop().then(end, (error) => {
      log(`ending failed: ${messageOf(error)}`);
      end();
    });
  };
  process.on('SIGTERM', stop).on('SIGINT', stop);
  const server = await serveControl(paths.controlSocket, {
    status: () => supervisor.status(),
    reload: () => supervisor.reload(),
    settle: () => supervisor.settle(),
    join: (body) => supervisor.join(body as JoinRequest),
    leave: (body) => supervisor.leave((body as { name: string }).name),
    shutdown: () => {
      stop();
    },
    retire: () => {
      log('making room for another supervisor; everything runs on');
      supervisor.retire();
      // The answer goes out first.
      setTimeout(() => process.exit(0), 50);
    },
  });
  writeJsonFile(paths.supervisor, processId(process.pid));
  log(`supervisor of ${directory} runs as process ${process.pid}`);
  supervisor.start().catch((error) => {
    log(`the mesh cannot be started: ${messageOf(error)}`);
    stop();
  });
  await ended;
  server.close();
  server.closeAllConnections();
  rmSync(paths.controlSocket, { force: true });
  rmSync(paths.supervisor, { force: true });
  log('the mesh has ended');
}
