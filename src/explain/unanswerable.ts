/** What cannot be asked: who is unknown, or what does not read. */
export interface Unanswerable {
  readonly code: 'CallerUnknown' | 'UrlInvalid' | 'IdentityInvalid';
  /** What, why and what was probably meant. */
  readonly message: string;
}
