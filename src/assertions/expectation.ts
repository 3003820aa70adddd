/** Where requests are expected to go: the field that is given must hold. */
export interface Place {
  /** Name of the workload (its Deployment or the like), with `.namespace` where that is not `default`. */
  readonly workload?: string;
  /** Service, with `.namespace` where that is not `default`, or the host of a ServiceEntry. */
  readonly service?: string;
  readonly subset?: string;
  /** Label `version` of the workload. */
  readonly version?: string;
  /** Share of the requests in percent, give or take one. */
  readonly weight?: number;
}

/** What is expected of a request. Everything that is given must hold. */
export interface Expectation {
  /** It reaches a destination, or a proxy answers it as configured. */
  readonly allowed?: boolean;
  /** A policy refuses it; by name (`AuthorizationPolicy/namespace/name`, or `namespace/name`): that one does. */
  readonly denied?: boolean | string;
  /** It gets nowhere. */
  readonly fails?: boolean;
  /** Status that a proxy gives, without the destination's doing. */
  readonly status?: number;
  /** All the places that it can go to: a workload's name, or more of it. */
  readonly goesTo?: string | Place | readonly (string | Place)[];
  /** Of the route: `3s`, or `none`. */
  readonly timeout?: string;
  /** How often the route tries again at most. */
  readonly retries?: number;
  /** Headers as the destination gets them; null: it gets none of that name. */
  readonly headers?: Readonly<Record<string, string | null>>;
  /** Path, with query, as the destination gets it. */
  readonly path?: string;
  /** Host as the destination gets it. */
  readonly host?: string;
  /** Where a redirect leads. */
  readonly redirect?: string;
  /** Identity that the server sees: `namespace/serviceAccount`, `spiffe://…`, or `none`. */
  readonly identity?: string;
}

/** Fields of an expectation and the types that they may have. */
export const expectationFields: Readonly<Record<keyof Expectation, readonly string[]>> = {
  allowed: ['boolean'],
  denied: ['boolean', 'string'],
  fails: ['boolean'],
  status: ['number'],
  goesTo: ['string', 'object', 'array'],
  timeout: ['string'],
  retries: ['number'],
  headers: ['object'],
  path: ['string'],
  host: ['string'],
  redirect: ['string'],
  identity: ['string'],
};

export const placeFields: Readonly<Record<keyof Place, readonly string[]>> = {
  workload: ['string'],
  service: ['string'],
  subset: ['string'],
  version: ['string'],
  weight: ['number'],
};
