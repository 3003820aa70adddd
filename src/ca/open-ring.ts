import { access } from 'node:fs/promises';
import { readMaterial, writeMaterial } from './authority-files.ts';
import { isExternalMaterial } from './authority-material.ts';
import type { AuthorityRingOptions } from './ring-options.ts';
import { directorySource, externalSource, type Held, openHeld, type RingSource } from './ring-source.ts';
import {
  type RotationFiles,
  type RotationRecord,
  readRecord,
  recover,
  rotationFiles,
} from './rotation-files.ts';

/** What a ring begins with: as the state directory has it, or made. */
export interface RingParts {
  readonly files: RotationFiles;
  readonly current: Held;
  readonly next: Held | undefined;
  readonly record: RotationRecord | undefined;
  /** Where an authority of the user's comes from; undefined: a self-signed root of our own. */
  readonly source: RingSource | undefined;
  /** Signs for the control plane where the workloads' certificates come from elsewhere. */
  readonly own: Held | undefined;
}

export async function openRing(options: AuthorityRingOptions): Promise<RingParts> {
  const files = rotationFiles(options.state);
  await recover(files, exists);
  const source = sourceOf(options);
  const own = await openOwn(files, options);
  if (source && !(await exists(files.current))) {
    const material = await source.read();
    await source.check(material);
    await writeMaterial(files.current, material);
  }
  const current = await openHeld(files.current, options, options.external?.authority);
  const record = await readRecord(files);
  const next =
    record && (await openHeld(files.next, { ...options, create: false }, options.external?.authority));
  return { files, current, next, record, source, own };
}

function sourceOf(options: AuthorityRingOptions): RingSource | undefined {
  if (options.external) return externalSource(options.external.rootFile, options.clock);
  return options.source === undefined ? undefined : directorySource(options.source, options);
}

/**
 * The control plane's own authority beside an external one: what the mesh had before, so that whoever knows its root goes on, else
 * a new one. It is trusted for the connection to the control plane and for nothing else.
 */
async function openOwn(files: RotationFiles, options: AuthorityRingOptions): Promise<Held | undefined> {
  if (options.external && !(await exists(files.own)) && (await exists(files.current))) {
    const before = await readMaterial(files.current);
    if (!isExternalMaterial(before)) await writeMaterial(files.own, before);
  }
  if (!options.external && !(await exists(files.own))) return undefined;
  return openHeld(files.own, options, undefined);
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
