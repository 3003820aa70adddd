import type { Position } from '../config/source-map.ts';
import type { MessageCode } from './message-codes.ts';
import type { Severity } from './severity.ts';

/** One finding. */
export interface Message {
  readonly code: MessageCode;
  /** The code's name: `ReferencedResourceNotFound`. */
  readonly name: string;
  readonly severity: Severity;
  /** `Kind namespace/name`, without the namespace where the object has none. */
  readonly resource: string;
  /** JSON path of the field that is meant; '' is the object. */
  readonly path: string;
  /** What is wrong, and how to mend it. */
  readonly message: string;
  /** Name of the analyzer that found it. */
  readonly analyzer: string;
  /** Where the field stands, if the object came from a file. */
  readonly position?: Position;
}
