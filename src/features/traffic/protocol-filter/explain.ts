import type { Origin } from '../../../config/origin.ts';
import { annotation } from './schema.ts';

export function explain({ path }: Origin): string | undefined {
  return path === `metadata.annotations.${annotation}`
    ? 'whether Envoy reads what is spoken on the ports named after their protocol'
    : undefined;
}
