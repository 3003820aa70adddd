import { createHash } from 'node:crypto';
import { lstatSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { makePrivateDirectory } from '../kit/atomic-file.ts';
import { CodedError } from '../kit/coded-error.ts';

/** `sun_path` of unix(7) has 108 bytes on Linux and 104 on macOS, the final zero included. */
const MAX_PATH = 103;

/**
 * Where the agent's sockets are: in the state directory, or, where that path is too long for a socket, in a private directory under
 * the system's temporary one whose name follows from it, so that the next agent finds the same.
 */
export function socketPaths(stateDirectory: string): { sds: string; admin: string } {
  const inside = { sds: join(stateDirectory, 'sds.sock'), admin: join(stateDirectory, 'admin.sock') };
  if (Buffer.byteLength(inside.admin) <= MAX_PATH) return inside;
  const { uid } = userInfo();
  const hash = createHash('sha256').update(stateDirectory).digest('hex').slice(0, 16);
  const directory = join(tmpdir(), `ostria-${uid}-${hash}`);
  makePrivateDirectory(directory);
  const info = lstatSync(directory);
  // Others may write to the temporary directory too, and could have made this one first.
  if (!info.isDirectory() || info.uid !== uid || (info.mode & 0o077) !== 0)
    throw new CodedError(
      'SocketDirectoryUnsafe',
      `${directory} is not a private directory of this user; remove it, or use a shorter state directory than ${stateDirectory}`,
    );
  return { sds: join(directory, 'sds.sock'), admin: join(directory, 'admin.sock') };
}
