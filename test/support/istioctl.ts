import { execFile, execFileSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';

/** Of Istio's main branch in August 2026: the module has no tags of its own. */
const version = 'v0.0.0-20260827124520-eed52ebb66ad';

/**
 * The real istioctl: `$OSTRIA_ISTIOCTL`, one on PATH, one that was built before, or, with OSTRIA_NIGHTLY, built now from its Go
 * module (a quarter of an hour on two idle cores).
 */
export function findIstioctl(): { path: string } | { missing: string } {
  const cache = join(homedir(), '.cache', 'ostria', 'istioctl', version);
  const candidates = [
    process.env.OSTRIA_ISTIOCTL ?? '',
    ...(process.env.PATH ?? '').split(delimiter).map((directory) => join(directory, 'istioctl')),
    join(cache, 'istioctl'),
  ];
  const found = candidates.find((path) => path !== '' && existsSync(path));
  if (found !== undefined) return { path: found };
  if (!process.env.OSTRIA_NIGHTLY)
    return { missing: 'istioctl is not installed: set OSTRIA_ISTIOCTL, or OSTRIA_NIGHTLY to have it built' };
  try {
    mkdirSync(cache, { recursive: true });
    execFileSync('go', ['install', `istio.io/istio/istioctl/cmd/istioctl@${version}`], {
      env: { ...process.env, GOBIN: cache, CGO_ENABLED: '0' },
      stdio: 'ignore',
      timeout: 3_600_000,
    });
    return { path: join(cache, 'istioctl') };
  } catch {
    return { missing: 'istioctl could not be built with Go' };
  }
}

/** Runs it; rejects on an exit code other than 0, with what it printed. */
export function runIstioctl(path: string, kubeconfig: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) =>
    execFile(
      path,
      args,
      { env: { ...process.env, KUBECONFIG: kubeconfig }, timeout: 60_000, maxBuffer: 64 * 1024 * 1024 },
      (error, stdout, stderr) =>
        error ? reject(new Error(`${error.message}\n${stdout}${stderr}`)) : resolve(stdout),
    ),
  );
}
