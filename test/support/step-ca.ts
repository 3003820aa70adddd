import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { exportJWK, generateKeyPair } from 'jose';
import { opensslCertificate } from './authority.ts';
import { freePorts } from './ports.ts';

const version = 'v0.30.2';

/**
 * A real step-ca: `$OSTRIA_STEP_CA`, one on PATH, one that was built before, or, with OSTRIA_NIGHTLY, built now from its Go module
 * (some minutes).
 */
export function findStepCa(): { path: string } | { missing: string } {
  const cache = join(homedir(), '.cache', 'ostria', 'step-ca', version);
  const candidates = [
    process.env.OSTRIA_STEP_CA ?? '',
    ...(process.env.PATH ?? '').split(delimiter).map((directory) => join(directory, 'step-ca')),
    join(cache, 'step-ca'),
  ];
  const found = candidates.find((path) => path !== '' && existsSync(path));
  if (found !== undefined) return { path: found };
  if (!process.env.OSTRIA_NIGHTLY)
    return { missing: 'step-ca is not installed: set OSTRIA_STEP_CA, or OSTRIA_NIGHTLY to have it built' };
  try {
    mkdirSync(cache, { recursive: true });
    const env = { ...process.env, GOBIN: cache, CGO_ENABLED: '0' };
    execFileSync('go', ['install', `github.com/smallstep/certificates/cmd/step-ca@${version}`], {
      env,
      stdio: 'ignore',
      timeout: 1_800_000,
    });
    return { path: join(cache, 'step-ca') };
  } catch {
    return { missing: 'step-ca could not be built with Go' };
  }
}

export interface StepCa {
  url: string;
  /** PEM file. */
  rootFile: string;
  root: string;
  provisioner: string;
  /** The provisioner's private key, a JSON Web Key. */
  keyFile: string;
  stop(): Promise<void>;
}

/** Starts one with a root, an intermediate that signs, and one JWK provisioner. */
export async function startStepCa(path: string, directory: string): Promise<StepCa> {
  mkdirSync(directory, { recursive: true });
  const write = (name: string, text: string): string => {
    const file = join(directory, name);
    writeFileSync(file, text, { mode: 0o600 });
    return file;
  };
  const root = opensslCertificate({ directory, name: 'step-root' });
  const intermediate = opensslCertificate({ directory, name: 'step-intermediate', issuer: root });
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
  const key = { kid: 'ostria', alg: 'ES256', use: 'sig' };
  const [port = 0] = await freePorts(1);
  const config = {
    root: write('root.pem', root.certificate),
    crt: write('intermediate.pem', intermediate.certificate),
    key: write('intermediate.key', intermediate.key),
    address: `127.0.0.1:${port}`,
    dnsNames: ['localhost', '127.0.0.1'],
    logger: { format: 'text' },
    authority: {
      provisioners: [{ type: 'JWK', name: 'ostria', key: { ...(await exportJWK(publicKey)), ...key } }],
    },
  };
  const child = spawn(path, [write('ca.json', JSON.stringify(config))], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const text: string[] = [];
  await new Promise<void>((resolve, reject) => {
    const look = (chunk: Buffer): void => {
      text.push(chunk.toString());
      if (text.join('').includes('Serving HTTPS')) resolve();
    };
    child.stdout.on('data', look);
    child.stderr.on('data', look);
    child.once('exit', () => reject(new Error(`step-ca ended: ${text.join('')}`)));
  });
  return {
    url: `https://localhost:${port}`,
    rootFile: config.root,
    root: root.certificate,
    provisioner: 'ostria',
    keyFile: write('provisioner.json', JSON.stringify({ ...(await exportJWK(privateKey)), ...key })),
    stop: () => end(child),
  };
}

function end(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null) return resolve();
    child.once('exit', () => resolve());
    child.kill('SIGKILL');
  });
}
