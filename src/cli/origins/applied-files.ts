import { join, resolve } from 'node:path';
import { makePrivateDirectory } from '../../kit/atomic-file.ts';
import { readJsonFile, writeJsonFile } from '../state/json-file.ts';
import { stateHome } from '../state/state-directory.ts';

/** Absolute paths of files and directories, the latest applied last, by API server. */
type AppliedFiles = Readonly<Record<string, readonly string[]>>;

/** Most files remembered of one API server, and most servers. */
const mostFiles = 500;
const mostServers = 20;

function recordPath(): string {
  return join(stateHome(), 'applied-files.json');
}

/**
 * Remembers which files were applied to an API server, so that commands can say at which line an object stands. Objects carry no file
 * names: moving a line must change nothing. Nothing depends on it: a record that cannot be written is left out.
 */
export function noteAppliedFiles(server: string, files: readonly string[]): void {
  const paths = files.filter((file) => file !== '-').map((file) => resolve(file));
  if (paths.length === 0) return;
  try {
    const { [server]: before = [], ...others } = read();
    const kept = [...before.filter((path) => !paths.includes(path)), ...paths].slice(-mostFiles);
    const servers = Object.entries(others).slice(-(mostServers - 1));
    makePrivateDirectory(stateHome());
    writeJsonFile(recordPath(), Object.fromEntries([...servers, [server, kept]]));
  } catch {
    // Told nowhere: the apply itself went well.
  }
}

/** Files and directories that were applied to an API server, the latest last. */
export function appliedFiles(server: string): readonly string[] {
  return read()[server] ?? [];
}

function read(): AppliedFiles {
  try {
    return readJsonFile<AppliedFiles>(recordPath()) ?? {};
  } catch {
    return {};
  }
}
