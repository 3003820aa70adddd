import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { hasProgram } from '../../scripts/tasks/test-machine.ts';
import { type CaptureOptions, captureRules } from '../../src/cli/capture/capture-rules.ts';

const run = promisify(execFile);
const program = join(import.meta.dirname, 'netns-program.ts');
/** The group that proxies run as: the rules let what it sends pass, as Istio's do by user 1337. */
const proxyGroup = 1337;

/** Why nothing of this works here; undefined where it does. */
export function whyNoNetns(): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'needs root on Linux';
  const absent = ['ip', 'nft', 'setpriv'].filter((name) => !hasProgram(name));
  return absent.length > 0 ? `needs ${absent.join(', ')}` : undefined;
}

/** Two machines on one wire, whose TCP connections are led through a proxy, in both directions. */
export interface Wire {
  readonly addresses: readonly [string, string];
  readonly addresses6: readonly [string, string];
  /** Before a command that runs there. */
  prefix(side: 0 | 1): readonly string[];
  /** Before a proxy's command. */
  proxyPrefix(side: 0 | 1): readonly string[];
  /** Runs `netns-program.ts` as an application; what it prints. `asProxy`: past the rules. */
  call(side: 0 | 1, args: readonly string[], asProxy?: boolean): Promise<Record<string, unknown>>;
  /** Starts it as a server; resolves when it serves. */
  serve(side: 0 | 1, args: readonly string[]): Promise<void>;
  close(): void;
}

/** Led through the proxies as `options` say. */
export async function openWire(options: CaptureOptions = {}): Promise<Wire> {
  const rules = captureRules({ ...options, proxyGroup });
  const id = randomInt(1, 2 ** 24).toString(36);
  const names = [`ostria-${id}-a`, `ostria-${id}-b`] as const;
  const addresses = ['10.77.0.1', '10.77.0.2'] as const;
  const addresses6 = ['fd77::1', 'fd77::2'] as const;
  const children: ChildProcess[] = [];
  const ip = (...args: string[]) => run('ip', args);
  const within = (side: 0 | 1, ...args: string[]) => run('ip', ['netns', 'exec', names[side], ...args]);
  const close = (): void => {
    for (const child of children) child.kill('SIGKILL');
    for (const name of names) spawnSync('ip', ['netns', 'del', name]);
  };
  try {
    for (const name of names) await ip('netns', 'add', name);
    await ip(
      'link',
      'add',
      'eth0',
      'netns',
      names[0],
      'type',
      'veth',
      'peer',
      'name',
      'eth0',
      'netns',
      names[1],
    );
    for (const side of [0, 1] as const) {
      const other = addresses[side === 0 ? 1 : 0];
      await within(side, 'ip', 'addr', 'add', `${addresses[side]}/24`, 'dev', 'eth0');
      // Without the wait of duplicate address detection.
      await within(side, 'ip', '-6', 'addr', 'add', `${addresses6[side]}/64`, 'dev', 'eth0', 'nodad');
      for (const device of ['lo', 'eth0']) await within(side, 'ip', 'link', 'set', device, 'up');
      // Virtual addresses must have some way out, else nothing is sent that could be captured.
      await within(side, 'ip', 'route', 'add', 'default', 'via', other);
      await within(side, 'ip', '-6', 'route', 'add', 'default', 'via', addresses6[side === 0 ? 1 : 0]);
      // The address by which a proxy speaks IPv6 to its application, as the guide has it.
      await within(side, 'ip', '-6', 'addr', 'add', '::6/128', 'dev', 'lo', 'nodad');
      await within(side, 'nft', rules);
    }
  } catch (error) {
    close();
    throw error;
  }
  const as = (side: 0 | 1, asProxy: boolean): string[] => [
    ...['ip', 'netns', 'exec', names[side]],
    ...(asProxy ? ['setpriv', '--regid', String(proxyGroup), '--clear-groups'] : []),
  ];
  return {
    addresses,
    addresses6,
    close,
    prefix: (side) => as(side, false),
    proxyPrefix: (side) => as(side, true),
    async call(side, args, asProxy = false) {
      const [command = '', ...before] = as(side, asProxy);
      const { stdout } = await run(command, [...before, process.execPath, program, ...args], {
        timeout: 60_000,
      });
      return JSON.parse(stdout) as Record<string, unknown>;
    },
    async serve(side, args) {
      const [command = '', ...before] = as(side, false);
      const child = spawn(command, [...before, process.execPath, program, 'serve', ...args], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      children.push(child);
      await new Promise<void>((resolve, reject) => {
        child.stdout?.once('data', () => resolve());
        child.once('exit', () => reject(new Error('the server in the namespace ended')));
      });
    },
  };
}
