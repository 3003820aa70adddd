import { join } from 'node:path';
import { CodedError } from '../../kit/coded-error.ts';
import { readJsonFile, writeJsonFile } from '../state/json-file.ts';

/** What `up` tells the supervisor; kept in the state directory, so that a new supervisor goes on where the old one ended. */
export interface SupervisorConfig {
  readonly schemaVersion: 1;
  /** Absolute. */
  readonly meshFile: string;
  /** Profiles that were asked for. */
  readonly profiles: readonly string[];
  /** Absent: as remembered, else the default. */
  readonly portBase?: number;
  /** Absolute. */
  readonly envoyPath: string;
  /** Further flags of the control plane. */
  readonly controlPlaneFlags: readonly string[];
  /** Restart what changed when its files change (`up --watch`). */
  readonly watch: boolean;
}

function configPath(directory: string): string {
  return join(directory, 'supervisor-config.json');
}

export function writeSupervisorConfig(directory: string, config: SupervisorConfig): void {
  writeJsonFile(configPath(directory), config);
}

export function readSupervisorConfig(directory: string): SupervisorConfig {
  const config = readJsonFile<SupervisorConfig>(configPath(directory));
  if (config) return config;
  throw new CodedError(
    'SupervisorUnconfigured',
    `${configPath(directory)} does not exist; start the mesh with ostria up`,
  );
}
