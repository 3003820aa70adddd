/** Pairs that are remembered. */
const defaultLimit = 8_192;

/** Which revision of the mesh holds a revision of a source, for the newest of them. */
export class RevisionBook {
  readonly #limit: number;
  /** Ascending in both. */
  #pairs: { readonly source: number; readonly mesh: number }[] = [];

  constructor(limit = defaultLimit) {
    this.#limit = limit;
  }

  note(source: number, mesh: number): void {
    this.#pairs.push({ source, mesh });
    if (this.#pairs.length > 2 * this.#limit) this.#pairs = this.#pairs.slice(-this.#limit);
  }

  /** The first revision of the mesh that holds the source's revision; undefined: none does yet. */
  meshRevisionOf(source: number): number | undefined {
    let low = 0;
    let high = this.#pairs.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#pairs[middle]?.source ?? 0) < source) low = middle + 1;
      else high = middle;
    }
    return this.#pairs[low]?.mesh;
  }
}
