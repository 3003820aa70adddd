import { isObject } from './json.ts';

/*
 * How an agent keeps its workload registered: one HTTP/2 call to `registrationPath` on the control plane's TLS port that stays open,
 * with lines of JSON both ways. The agent's first line is its claim, further ones are reports; the control plane answers the claim with
 * one line. The workload is registered for as long as the call lasts.
 */

export const registrationPath = '/ostria.registration';
/** Node metadata of a proxy whose agent registers the workload: its group. */
export const registeredGroup = 'OSTRIA_GROUP';

export interface RegistrationClaim {
  readonly workload: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  /** WorkloadGroup in the same namespace. */
  readonly group: string;
  readonly address: string;
  readonly network?: string;
  readonly locality?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** Where others reach a port, if not under its own number. */
  readonly ports?: Readonly<Record<string, number>>;
}

/** `leaving`: the workload ends for good; nobody need wait for its return. */
export type RegistrationReport =
  | { readonly healthy: boolean; readonly message?: string }
  | { readonly leaving: true };

/** A WorkloadGroup's probe, as its schema has it. */
export interface WorkloadProbe {
  readonly initialDelaySeconds?: number;
  readonly timeoutSeconds?: number;
  readonly periodSeconds?: number;
  readonly successThreshold?: number;
  readonly failureThreshold?: number;
  readonly httpGet?: {
    readonly path?: string;
    readonly port: number;
    readonly host?: string;
    readonly scheme?: string;
    readonly httpHeaders?: readonly { readonly name?: string; readonly value?: string }[];
  };
  readonly tcpSocket?: { readonly host?: string; readonly port: number };
  readonly exec?: { readonly command: readonly string[] };
  readonly grpc?: { readonly port?: number; readonly service?: string };
}

export type RegistrationAnswer =
  | { readonly registered: string; readonly probe?: WorkloadProbe }
  /** For good: trying again is of no use until somebody changes something. */
  | { readonly refused: string };

const maxLine = 64 * 1024;

/** Cuts a byte stream into JSON lines. Throws on one that is too long or is no object. */
export class LineReader {
  readonly #decoder = new TextDecoder();
  #rest = '';

  push(chunk: Buffer): Record<string, unknown>[] {
    const lines = (this.#rest + this.#decoder.decode(chunk, { stream: true })).split('\n');
    this.#rest = lines.pop() ?? '';
    if (this.#rest.length > maxLine || lines.some((line) => line.length > maxLine))
      throw new Error(`a line is longer than ${maxLine} characters`);
    return lines
      .filter((line) => line !== '')
      .map((line) => {
        const value: unknown = JSON.parse(line);
        if (!isObject(value)) throw new Error('a line is no object');
        return value;
      });
  }
}

export function toLine(value: RegistrationClaim | RegistrationReport | RegistrationAnswer): string {
  return `${JSON.stringify(value)}\n`;
}
