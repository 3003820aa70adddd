import { type Analyzer, kinds } from '../analyzer.ts';

/** Releases of Gateway API whose definitions have the version that is read. */
const firstRelease: Readonly<Record<string, string>> = {
  'backendtlspolicies.gateway.networking.k8s.io': '1.4.0',
  'tlsroutes.gateway.networking.k8s.io': '1.5.0',
};

const versionAnnotation = 'gateway.networking.k8s.io/bundle-version';

/** IST0176: definitions of Gateway API that are too old for their kind to be read. */
export const gatewayApiDefinitionAnalyzer: Analyzer = {
  name: 'k8sgateway.CRDVersionAnalyzer',
  inputs: [kinds.definition],
  analyze: (view) => {
    for (const definition of view.all(kinds.definition)) {
      const needed = firstRelease[definition.name];
      const installed = definition.annotations[versionAnnotation];
      if (needed === undefined || installed === undefined || !isOlder(installed, needed)) continue;
      const message = `is of Gateway API ${installed}, and its kind is read from v${needed} on; install that release's definitions`;
      view.report('IST0176', definition, message, `metadata.annotations["${versionAnnotation}"]`);
    }
  },
};

/** Compares `v1.4.1` with `1.5.0`; what is no version is not older. */
function isOlder(text: string, than: string): boolean {
  const parts = /^v?(\d+)\.(\d+)\.(\d+)/.exec(text)?.slice(1).map(Number);
  const other = than.split('.').map(Number);
  const at = parts?.findIndex((part, index) => part !== other[index]) ?? -1;
  return at >= 0 && (parts?.[at] ?? 0) < (other[at] ?? 0);
}
