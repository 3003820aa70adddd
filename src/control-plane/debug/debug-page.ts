import { CodedError } from '../../kit/coded-error.ts';

/** How much a caller may see. */
export interface DebugScope {
  /** Only what belongs to this namespace; undefined: everything. */
  readonly namespace: string | undefined;
}

export const everything: DebugScope = { namespace: undefined };

/** One page below `/debug/`. */
export interface DebugPage {
  /** What it shows, in one line. */
  readonly help: string;
  /** Callers who may see one namespace alone may read it, and find nothing else in it. Without it: for those who see everything. */
  readonly open?: true;
  /** What it returns is sent as JSON, a text as it is. Throws DebugError. */
  answer(query: URLSearchParams, scope: DebugScope): unknown;
}

export type DebugPages = ReadonlyMap<string, DebugPage>;

/** An answer that is not 200. */
export class DebugError extends CodedError {
  readonly status: number;

  constructor(status: number, message: string) {
    super(`Debug${status}`, message);
    this.status = status;
  }
}

/** The page of a name for a caller. Throws DebugError: 404 for what there is not, 403 for what the caller may not read. */
export function findPage(pages: DebugPages, name: string, scope: DebugScope): DebugPage {
  const page = pages.get(name);
  if (!page) throw new DebugError(404, '404 page not found');
  if (scope.namespace !== undefined && !page.open)
    throw new DebugError(
      403,
      `/debug/${name} is for callers of the root namespace; callers of a namespace may read ${openNames(pages).join(', ')}`,
    );
  return page;
}

function openNames(pages: DebugPages): string[] {
  return [...pages].filter(([, page]) => page.open).map(([name]) => name);
}

/** Scope of a namespace: the mesh's root namespace sees everything. */
export function scopeOf(namespace: string, rootNamespace: string): DebugScope {
  return namespace === rootNamespace ? everything : { namespace };
}

/** Whether something of a namespace is within a scope. */
export function isVisible(scope: DebugScope, namespace: string): boolean {
  return scope.namespace === undefined || scope.namespace === namespace;
}
