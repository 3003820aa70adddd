import { CodedError } from '../../kit/coded-error.ts';

export interface SigningRequest {
  /** PEM PKCS #10. It names `identity` and nothing else. */
  readonly csr: string;
  /** SPIFFE id, proved by the caller. */
  readonly identity: string;
  /** Wanted lifetime in ms. */
  readonly ttlMs: number;
  readonly signal: AbortSignal;
}

/** Who signs certificates elsewhere. */
export interface ExternalSigner {
  /** For people: kind and address. */
  readonly name: string;
  /** PEM: the certificate, then its intermediates; roots may follow. Rejects with `SignerFailed` or `SignerRefused`. */
  sign(request: SigningRequest): Promise<string>;
  close?(): void;
}

/** It may work a moment later. */
export function signerFailed(message: string): CodedError {
  return new CodedError('SignerFailed', message);
}

/** It answered, and would answer the same again. */
export function signerRefused(message: string): CodedError {
  return new CodedError('SignerRefused', message);
}
