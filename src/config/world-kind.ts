const istioGroups: ReadonlySet<string> = new Set([
  '',
  'networking.istio.io',
  'security.istio.io',
  'telemetry.istio.io',
  'extensions.istio.io',
]);

/**
 * The name under which the compile knows a kind: Istio's and core kinds by their bare name (`Gateway`, `Secret`), all others
 * with their group in front (`gateway.networking.k8s.io/Gateway`), because kinds of different groups share names.
 */
export function worldKind(group: string, kind: string): string {
  return istioGroups.has(group) ? kind : `${group}/${kind}`;
}
