/** Whom a claim speaks of: all of `any` that none of `except` takes. */
export interface CallerPattern {
  readonly text: string;
  readonly any: readonly CallerTerm[];
  readonly except: readonly CallerTerm[];
}

/** One word for callers. */
export type CallerTerm =
  | { readonly kind: 'anyone' }
  /** Clients outside, by any gateway. */
  | { readonly kind: 'outside' }
  /** Whoever calls in plaintext, and so proves no identity. */
  | { readonly kind: 'plaintext' }
  | { readonly kind: 'namespace'; readonly namespace: string }
  | { readonly kind: 'workload'; readonly name: string; readonly namespace: string }
  | { readonly kind: 'account'; readonly name: string; readonly namespace: string };

/** "Nothing of `from` reaches `to`". */
export interface Claim {
  readonly text: string;
  readonly from: CallerPattern;
  readonly service: string;
  readonly namespace: string;
  /** Absent: every port of the service. */
  readonly port?: number;
  /** Absent: every method. */
  readonly methods?: readonly string[];
  /** Absent: every path. As the application gets it, without query. */
  readonly path?: { readonly text: string; readonly prefix: boolean };
}

type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: string };

const example = 'such as "from !namespace/pay to ledger.pay POST /transfer"';

/** `from WHO[,WHO…] to SERVICE[.NAMESPACE][:PORT] [METHOD[,METHOD…]] [PATH]`; a path may end with `*`. */
export function parseClaim(text: string): Parsed<Claim> {
  const match = /^\s*from\s+(.+?)\s+to\s+(\S+)(?:\s+([A-Z*][A-Z,-]*))?(?:\s+(\/\S*))?\s*$/.exec(text);
  if (!match) return { ok: false, error: `${JSON.stringify(text)} is no claim; write one ${example}` };
  const [, who = '', target = '', methods, path] = match;
  const from = parseCallers(who);
  if (!from.ok) return from;
  const place = /^([^.:/]+)(?:\.([^.:/]+))?(?:\.svc(?:\.[^:]*)?)?(?::(\d+))?$/.exec(target);
  if (!place)
    return { ok: false, error: `${target} is no service; write name, name.namespace or name.namespace:port` };
  const [, service = '', namespace = 'default', port] = place;
  return {
    ok: true,
    value: {
      text: text.trim().replace(/\s+/g, ' '),
      from: from.value,
      service,
      namespace,
      ...(port === undefined ? {} : { port: Number(port) }),
      ...(methods === undefined || methods === '*' ? {} : { methods: methods.split(',') }),
      ...(path === undefined || path === '/*' ? {} : { path: pathOf(path) }),
    },
  };
}

function pathOf(path: string): { text: string; prefix: boolean } {
  return path.endsWith('*') ? { text: path.slice(0, -1), prefix: true } : { text: path, prefix: false };
}

export function parseCallers(text: string): Parsed<CallerPattern> {
  const any: CallerTerm[] = [];
  const except: CallerTerm[] = [];
  for (const word of text.split(/\s*,\s*/)) {
    const negated = word.startsWith('!');
    const term = parseTerm(negated ? word.slice(1) : word);
    if (!term)
      return {
        ok: false,
        error: `${word} names no caller; it can be anyone, outside, plaintext, namespace/NAME, workload/NAME.NAMESPACE or account/NAME.NAMESPACE, each with ! before it for all others`,
      };
    (negated ? except : any).push(term);
  }
  return { ok: true, value: { text, any: any.length > 0 ? any : [{ kind: 'anyone' }], except } };
}

function parseTerm(word: string): CallerTerm | undefined {
  if (word === 'anyone' || word === 'outside' || word === 'plaintext') return { kind: word };
  const [, kind, rest = ''] = /^(namespace|workload|account)\/([^/\s]+)$/.exec(word) ?? [];
  if (kind === 'namespace') return { kind, namespace: rest };
  const [name = '', namespace = 'default'] = rest.split('.');
  if (kind === 'workload' || kind === 'account') return { kind, name, namespace };
  return undefined;
}
