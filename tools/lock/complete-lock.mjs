// @ts-check
// `node tools/lock/complete-lock.mjs`: run after a change of dependencies.
//
// A registry mirror may lack the binaries of other platforms. npm then leaves them out of package-lock.json, and `npm ci` refuses
// the file everywhere. This adds the missing optional packages, with the platforms that their names tell, so that npm skips them
// where they do not fit.
import { readFileSync, writeFileSync } from 'node:fs';

const systems = [
  'aix',
  'android',
  'darwin',
  'freebsd',
  'linux',
  'netbsd',
  'openbsd',
  'openharmony',
  'sunos',
  'win32',
];
const processors = [
  'arm64',
  'arm',
  'ia32',
  'loong64',
  'mips64el',
  'ppc64',
  'riscv64',
  's390x',
  'x64',
  'wasm32',
];

/** @typedef {{ version?: string, dev?: boolean, optional?: boolean, optionalDependencies?: Record<string, string>, os?: string[], cpu?: string[], libc?: string[] }} LockEntry */

/** @param {string} name */
function platformOf(name) {
  if (name === 'fsevents') return { os: ['darwin'] };
  const parts = name.split(/[/-]/);
  const cpu = processors.find((one) =>
    parts.some((part) => part === one || (one === 'arm' && /^arm-?(eabi|gnueabihf|musleabihf)?$/.test(part))),
  );
  const os = systems.find((one) => parts.includes(one));
  const libc =
    parts.includes('musl') || parts.includes('musleabihf')
      ? 'musl'
      : parts.includes('gnu') || parts.includes('gnueabihf')
        ? 'glibc'
        : undefined;
  return {
    ...(cpu ? { cpu: [cpu] } : {}),
    ...(os ? { os: [os] } : {}),
    ...(os === 'linux' && libc ? { libc: [libc] } : {}),
  };
}

const path = new URL('../../package-lock.json', import.meta.url);
const lock = JSON.parse(readFileSync(path, 'utf8'));
/** @type {Record<string, LockEntry>} */
const packages = lock.packages;
let added = 0;
for (const [parent, entry] of Object.entries({ ...packages })) {
  for (const [name, wanted] of Object.entries(entry.optionalDependencies ?? {})) {
    const nested = `${parent}/node_modules/${name}`;
    const top = `node_modules/${name}`;
    // A range is taken to be satisfied by what npm placed at the top; an exact version must be there.
    const exact = /^\d/.test(wanted);
    const version = wanted.replace(/^[~^]/, '');
    if (packages[nested] || (packages[top] && (!exact || packages[top].version === version))) continue;
    const key = packages[top] ? nested : top;
    const platform = platformOf(name);
    if (!platform.os && !platform.cpu) {
      console.error(`${name} is missing and its name tells no platform: look at it by hand`);
      process.exitCode = 1;
      continue;
    }
    packages[key] = { version, ...platform, ...(entry.dev ? { dev: true } : {}), optional: true };
    added++;
  }
}
lock.packages = Object.fromEntries(Object.entries(packages).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
writeFileSync(path, `${JSON.stringify(lock, undefined, 2)}\n`);
console.log(`package-lock.json: ${added} optional packages of other platforms added`);
