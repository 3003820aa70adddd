/** The fields of a VirtualService that analyzers read. */
export interface VirtualServiceSpec {
  readonly hosts?: readonly string[];
  readonly gateways?: readonly string[];
  readonly exportTo?: readonly string[];
  readonly http?: readonly HttpRule[];
  readonly tls?: readonly L4Rule[];
  readonly tcp?: readonly L4Rule[];
}

export interface HttpRule {
  readonly name?: string;
  readonly match?: readonly HttpMatch[];
  readonly route?: readonly WeightedDestination[];
  readonly mirror?: Destination;
  readonly mirrors?: readonly WeightedDestination[];
  readonly delegate?: { readonly name?: string; readonly namespace?: string };
  readonly timeout?: string;
  readonly retries?: {
    readonly attempts?: number;
    readonly perTryTimeout?: string;
    readonly retryOn?: string;
  };
  readonly fault?: {
    readonly delay?: { readonly percent?: number };
    readonly abort?: { readonly percent?: number };
  };
}

export interface HttpMatch {
  readonly method?: { readonly exact?: string };
  readonly gateways?: readonly string[];
  readonly headers?: Readonly<Record<string, unknown>>;
  readonly withoutHeaders?: Readonly<Record<string, unknown>>;
}

export interface L4Rule {
  readonly match?: readonly { readonly gateways?: readonly string[] }[];
  readonly route?: readonly WeightedDestination[];
}

export interface WeightedDestination {
  readonly destination?: Destination;
}

export interface Destination {
  readonly host?: string;
  readonly subset?: string;
  readonly port?: { readonly number?: number };
}

/** A destination and where it is written. `path` is that of the destination. */
export interface WrittenDestination {
  readonly destination: Destination;
  readonly path: string;
}

/** Every destination of a VirtualService: of routes and of mirrors. */
export function destinationsOf({ http = [], tls = [], tcp = [] }: VirtualServiceSpec): WrittenDestination[] {
  const routes = (path: string, list: readonly WeightedDestination[] | undefined): WrittenDestination[] =>
    (list ?? []).map(({ destination = {} }, index) => ({
      destination,
      path: `${path}[${index}].destination`,
    }));
  const l4 = (kind: string, rules: readonly L4Rule[]) =>
    rules.flatMap(({ route }, index) => routes(`spec.${kind}[${index}].route`, route));
  return [
    ...http.flatMap(({ route, mirror, mirrors }, index) => {
      const path = `spec.http[${index}]`;
      return [
        ...routes(`${path}.route`, route),
        ...(mirror ? [{ destination: mirror, path: `${path}.mirror` }] : []),
        ...routes(`${path}.mirrors`, mirrors),
      ];
    }),
    ...l4('tls', tls),
    ...l4('tcp', tcp),
  ];
}
