import { type AnalysisView, type Analyzer, type Item, kinds } from '../analyzer.ts';

/** Releases of Gateway API whose definitions have the version that is read. */
const firstRelease: Readonly<Record<string, string>> = {
  'backendtlspolicies.gateway.networking.k8s.io': '1.4.0',
  'tlsroutes.gateway.networking.k8s.io': '1.5.0',
};

const versionAnnotation = 'gateway.networking.k8s.io/bundle-version';

/** Definitions of Gateway API by their names, whose objects are read as v1, and of those without it as v1beta1. */
const withVersions: ReadonlySet<string> = new Set(
  ['gatewayclasses', 'gateways', 'httproutes', 'grpcroutes', 'referencegrants'].map(
    (plural) => `${plural}.gateway.networking.k8s.io`,
  ),
);
/** Has never been v1beta1. */
const stableOnly = 'grpcroutes.gateway.networking.k8s.io';
/** Is v1 since release 1.5 only: that it is not is nothing to be warned of. */
const betaStill = 'referencegrants.gateway.networking.k8s.io';

interface DefinitionSpec {
  readonly versions?: readonly { readonly name?: string; readonly served?: boolean }[];
}

/**
 * IST0176: definitions of Gateway API that are too old for their kind to be read. IST0156: those that serve no version that is read;
 * IST0172: those that serve the older one of two alone.
 */
export const gatewayApiDefinitionAnalyzer: Analyzer = {
  name: 'k8sgateway.CRDVersionAnalyzer',
  inputs: [kinds.definition],
  analyze: (view) => {
    for (const definition of view.all<DefinitionSpec>(kinds.definition)) {
      reportVersions(view, definition);
      const needed = firstRelease[definition.name];
      const installed = definition.annotations[versionAnnotation];
      if (needed === undefined || installed === undefined || !isOlder(installed, needed)) continue;
      const message = `is of Gateway API ${installed}, and its kind is read from v${needed} on; install that release's definitions`;
      view.report('IST0176', definition, message, `metadata.annotations["${versionAnnotation}"]`);
    }
  },
};

function reportVersions(view: AnalysisView, definition: Item<DefinitionSpec>): void {
  const { name, spec } = definition;
  if (!withVersions.has(name) || !spec.versions) return;
  const served = spec.versions.flatMap((one) => (one.served && one.name ? [one.name] : []));
  if (served.includes('v1')) return;
  const has = `serves ${served.join(', ') || 'no version'}`;
  const mend = 'install a newer release of the Gateway API';
  if (name === stableOnly || !served.includes('v1beta1'))
    view.report(
      'IST0156',
      definition,
      `${has}, and v1${name === stableOnly ? '' : ' or v1beta1'} is needed; ${mend}`,
      'spec.versions',
    );
  else if (name !== betaStill)
    view.report('IST0172', definition, `${has}, and v1 will be needed; ${mend}`, 'spec.versions');
}

/** Compares `v1.4.1` with `1.5.0`; what is no version is not older. */
function isOlder(text: string, than: string): boolean {
  const parts = /^v?(\d+)\.(\d+)\.(\d+)/.exec(text)?.slice(1).map(Number);
  const other = than.split('.').map(Number);
  const at = parts?.findIndex((part, index) => part !== other[index]) ?? -1;
  return at >= 0 && (parts?.[at] ?? 0) < (other[at] ?? 0);
}
