/** The part of the codec that the Dubbo test uses; it brings no types. */
declare module 'hessian.js' {
  export class EncoderV2 {
    write(value: unknown): this;
    get(): Buffer;
  }
  export class DecoderV2 {
    constructor(bytes: Buffer);
    read(): unknown;
  }
}
