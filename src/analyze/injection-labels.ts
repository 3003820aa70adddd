/** What a namespace's labels ask for. */
export interface InjectionLabels {
  readonly enabled: boolean;
  readonly disabled: boolean;
  readonly revision: string | undefined;
  readonly ambient: boolean;
}

export function injectionLabels(labels: Readonly<Record<string, string>>): InjectionLabels {
  const injection = labels['istio-injection'];
  return {
    enabled: injection === 'enabled',
    disabled: injection === 'disabled',
    revision: labels['istio.io/rev'] || undefined,
    ambient: labels['istio.io/dataplane-mode'] === 'ambient',
  };
}

export function isSystemNamespace(name: string, rootNamespace: string): boolean {
  return name === rootNamespace || name.startsWith('kube-') || name === 'local-path-storage';
}
