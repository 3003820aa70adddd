import type { ConfigObject } from '../../object.ts';

/** One column of the tables that kubectl shows. */
export interface Column {
  name: string;
  type: string;
  format: string;
  description: string;
  /** Above 0: shown with `-o wide` only. */
  priority: number;
  cell: (object: ConfigObject, now: number) => unknown;
}
