import { type AnalysisView, type Analyzer, type Item, kinds } from '../analyzer.ts';

interface Patch {
  readonly applyTo?: string;
  readonly match?: { readonly proxy?: { readonly proxyVersion?: string } };
  readonly patch?: { readonly operation?: string };
}

interface EnvoyFilterSpec {
  readonly priority?: number;
  readonly configPatches?: readonly Patch[];
}

const filters: ReadonlySet<string> = new Set(['HTTP_FILTER', 'NETWORK_FILTER', 'LISTENER_FILTER']);

/** IST0151 to IST0155: operations that do nothing where they are written, or that depend on the order of other patches. */
export const envoyPatchAnalyzer: Analyzer = {
  name: 'envoyfilter.EnvoyPatchAnalyzer',
  perObject: true,
  inputs: [kinds.envoyFilter],
  analyze: (view) => {
    for (const filter of view.all<EnvoyFilterSpec>(kinds.envoyFilter)) {
      checkOperations(view, filter);
      checkOrder(view, filter);
    }
  },
};

function checkOperations(view: AnalysisView, filter: Item<EnvoyFilterSpec>): void {
  for (const [index, { applyTo = '', patch }] of (filter.spec.configPatches ?? []).entries()) {
    const path = `spec.configPatches[${index}].patch.operation`;
    // Route tables and the routes in them take changes, and nothing new in front of what they have.
    const fixed = applyTo === 'ROUTE_CONFIGURATION' || applyTo === 'HTTP_ROUTE';
    if (patch?.operation === 'ADD' && fixed)
      view.report(
        'IST0153',
        filter,
        `ADD does nothing to ${applyTo}; use MERGE, or INSERT_FIRST for a route`,
        path,
      );
    if (patch?.operation === 'REMOVE' && fixed)
      view.report('IST0154', filter, `REMOVE does nothing to ${applyTo}; use MERGE to change it`, path);
    if (patch?.operation === 'REPLACE' && !filters.has(applyTo) && applyTo !== 'VIRTUAL_HOST')
      view.report('IST0152', filter, `REPLACE does nothing to ${applyTo}; use MERGE`, path);
  }
}

/** One message a filter: the mend, a priority, is one too. */
function checkOrder(view: AnalysisView, filter: Item<EnvoyFilterSpec>): void {
  if (filter.spec.priority) return;
  const relative = (filter.spec.configPatches ?? []).map(
    ({ applyTo = '', patch }) =>
      patch?.operation === 'INSERT_BEFORE' ||
      patch?.operation === 'INSERT_AFTER' ||
      (patch?.operation === 'REPLACE' && filters.has(applyTo)),
  );
  const first = relative.indexOf(true);
  if (first < 0) return;
  const path = (index: number) => `spec.configPatches[${index}].patch.operation`;
  const mend = 'set spec.priority, or use INSERT_FIRST or ADD';
  const operation = filter.spec.configPatches?.[first]?.patch?.operation;
  view.report(
    'IST0151',
    filter,
    `${operation} depends on which other EnvoyFilters came before it; ${mend}`,
    path(first),
  );
  const versioned = relative.findIndex(
    (isRelative, index) => isRelative && filter.spec.configPatches?.[index]?.match?.proxy?.proxyVersion,
  );
  if (versioned >= 0)
    view.report(
      'IST0155',
      filter,
      `a patch relative to others that is for one proxyVersion alone may find nothing to hold on to after an upgrade; ${mend}`,
      path(versioned),
    );
}
