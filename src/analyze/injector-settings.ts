import { type AnalysisView, kinds } from './analyzer.ts';

/** What an injector of Istio's charts was installed with. */
export interface InjectorSettings {
  /** '' is the injector without a revision. */
  readonly revision: string;
  readonly enabledByDefault: boolean;
  /** The sidecar's image, without its type. */
  readonly proxyImage: string | undefined;
}

interface Values {
  readonly global?: {
    readonly hub?: string;
    readonly tag?: string | number;
    readonly proxy?: { readonly image?: string };
  };
  readonly sidecarInjectorWebhook?: { readonly enableNamespacesByDefault?: boolean };
}

const mapName = 'istio-sidecar-injector';

/** The injectors whose ConfigMap is among the objects. */
export function injectorSettings(view: AnalysisView): InjectorSettings[] {
  const found: InjectorSettings[] = [];
  for (const { name, namespace, object } of view.all(kinds.configMap)) {
    if (namespace !== view.rootNamespace || !(name === mapName || name.startsWith(`${mapName}-`))) continue;
    const values = readValues((object.data as { readonly values?: unknown } | undefined)?.values);
    if (!values) continue;
    found.push({
      revision: name.slice(mapName.length + 1),
      enabledByDefault: values.sidecarInjectorWebhook?.enableNamespacesByDefault === true,
      proxyImage: proxyImage(values),
    });
  }
  return found;
}

function readValues(text: unknown): Values | undefined {
  try {
    const values: unknown = typeof text === 'string' ? JSON.parse(text) : undefined;
    return typeof values === 'object' && values !== null ? values : undefined;
  } catch {
    return undefined;
  }
}

/** A name with a slash is a whole image. */
function proxyImage({ global }: Values): string | undefined {
  const image = global?.proxy?.image;
  if (image === undefined) return undefined;
  return image.includes('/') ? image : `${global?.hub}/${image}:${global?.tag}`;
}
