import { parentPort } from 'node:worker_threads';
import type { ApiLimits } from '../limits.ts';
import { ApiError } from '../status.ts';
import { parseYamlBody } from './yaml-body.ts';

/** A thread that parses YAML bodies, one at a time, in the order in which they are posted. */
export interface YamlTask {
  text: string;
  limits: ApiLimits;
}

export type YamlVerdict =
  | {
      /** JSON: reading it is cheaper for the other side than a structured clone. */
      json: string;
      duplicates: string[];
      /** `\npath\tline 7, column 3` for every field, ended by a line feed. */
      places: string;
    }
  | { refused: string };

/** Characters of places that are told; fields beyond it are located by their nearest parent. */
const mostPlaces = 32 * 1024 * 1024;

function answer({ text, limits }: YamlTask): YamlVerdict {
  try {
    const { value, duplicates, places } = parseYamlBody(text, limits);
    let index = '';
    for (const [path, place] of places?.() ?? []) {
      if (index.length + path.length > mostPlaces) break;
      index += `\n${path}\t${place}`;
    }
    return { json: JSON.stringify(value), duplicates, places: `${index}\n` };
  } catch (error) {
    if (error instanceof ApiError) return { refused: error.message };
    throw error;
  }
}

parentPort?.on('message', (task: YamlTask) => parentPort?.postMessage(answer(task)));
