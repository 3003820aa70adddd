/** A place in a file; line and column start at 1. */
export interface Position {
  file: string;
  line: number;
  column: number;
}

/** Where an object and its fields stand. Looks up the longest known prefix of a JSON path (`spec.http[0].route`). */
export interface ObjectPositions {
  file: string;
  at(path: string): Position | undefined;
}
