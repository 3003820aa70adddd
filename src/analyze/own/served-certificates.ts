import { type AnalysisView, type Analyzer, type Item, kinds } from '../analyzer.ts';
import { secretProblem } from '../analyzers/gateway-secrets.ts';

interface CertificateRef {
  readonly group?: string;
  readonly kind?: string;
  readonly name: string;
  readonly namespace?: string;
}

interface ListenersSpec {
  readonly listeners?: readonly {
    readonly tls?: { readonly certificateRefs?: readonly CertificateRef[] };
  }[];
}

interface IngressSpec {
  readonly tls?: readonly { readonly secretName?: string }[];
}

const ingress = 'Ingress.networking.k8s.io';
const listenerSet = 'ListenerSet.gateway.networking.k8s.io';

/** OST0109: a certificate of a Gateway API listener or of an Ingress that is expired, or that no proxy could serve with. */
export const servedCertificateAnalyzer: Analyzer = {
  name: 'ostria.ServedCertificateAnalyzer',
  inputs: [kinds.kubernetesGateway, listenerSet, ingress, kinds.secret],
  analyze: (view) => {
    const secrets = new Map(view.all(kinds.secret).map((one) => [`${one.namespace}/${one.name}`, one]));
    for (const kind of [kinds.kubernetesGateway, listenerSet])
      for (const gateway of view.all<ListenersSpec>(kind))
        for (const [index, { tls }] of (gateway.spec.listeners ?? []).entries())
          for (const [at, ref] of (tls?.certificateRefs ?? []).entries())
            if ((ref.group ?? '') === '' && (ref.kind ?? 'Secret') === 'Secret')
              judge(view, secrets, gateway, {
                secret: `${ref.namespace ?? gateway.namespace}/${ref.name}`,
                path: `spec.listeners[${index}].tls.certificateRefs[${at}]`,
              });
    for (const one of view.all<IngressSpec>(ingress))
      for (const [index, { secretName }] of (one.spec.tls ?? []).entries())
        if (secretName)
          judge(view, secrets, one, {
            secret: `${one.namespace}/${secretName}`,
            path: `spec.tls[${index}].secretName`,
          });
  },
};

/** A Secret that is not at hand is somebody else's to tell of: the objects' own status does. */
function judge(
  view: AnalysisView,
  secrets: ReadonlyMap<string, Item<unknown>>,
  object: Item<unknown>,
  { secret, path }: { readonly secret: string; readonly path: string },
): void {
  const found = secrets.get(secret);
  const problem = found && secretProblem(found, view.now);
  if (problem) view.report('OST0109', object, `secret ${secret}: ${problem}`, path);
}
