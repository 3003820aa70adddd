/**
 * A place inside an object, made of immutable links so that walking down allocates little and text is made only for
 * complaints. Written as JSON paths: `spec.http[0].route[1].weight`, `metadata.labels[app.kubernetes.io/name]`.
 */
export interface FieldPath {
  /** A named field, or a key of a map: keys that are not plain words are written in brackets. */
  field(name: string): FieldPath;
  index(i: number): FieldPath;
  toString(): string;
}

class Link implements FieldPath {
  readonly #parent: Link | undefined;
  readonly #step: string | number;

  constructor(parent: Link | undefined, step: string | number) {
    this.#parent = parent;
    this.#step = step;
  }

  field(name: string): FieldPath {
    return new Link(this, name);
  }

  index(i: number): FieldPath {
    return new Link(this, i);
  }

  toString(): string {
    const steps: (string | number)[] = [];
    for (let link: Link | undefined = this; link; link = link.#parent) steps.push(link.#step);
    return steps.reverse().reduce<string>(appendStep, '');
  }
}

/** The whole object: its text is ''. */
export const rootPath: FieldPath = {
  field: (name) => new Link(undefined, name),
  index: (i) => new Link(undefined, i),
  toString: () => '',
};

/** Adds one step to a path's text, as everything that writes or looks up JSON paths does. */
export function appendStep(path: string, step: string | number): string {
  if (typeof step === 'number') return `${path}[${step}]`;
  if (!/^[A-Za-z_$][\w$-]*$/.test(step)) return `${path}[${step}]`;
  return path === '' ? step : `${path}.${step}`;
}
