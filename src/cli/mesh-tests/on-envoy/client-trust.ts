import type { ModelObject } from '../../../model/model-objects.ts';

/** Where a credential's Secret keeps the anchors for clients: `kubernetes.io/tls` and Istio's generic form. */
const anchorKeys = ['ca.crt', 'cacert'];

/**
 * The objects, with the run's own root in place of the anchors for clients: no other authority's certificates can be made here. Gateways
 * keep their own certificates.
 */
export function withTestRoot(objects: readonly ModelObject[], root: string): readonly ModelObject[] {
  const value = Buffer.from(root).toString('base64');
  return objects.map((one) => {
    const { data, stringData } = one.object as { data?: Texts; stringData?: Texts };
    if (one.object.kind !== 'Secret' || one.object.apiVersion !== 'v1') return one;
    const object = {
      ...one.object,
      ...(data ? { data: replaced(data, value) } : {}),
      ...(stringData ? { stringData: replaced(stringData, root) } : {}),
    };
    return { ...one, object };
  });
}

type Texts = Readonly<Record<string, string>>;

function replaced(texts: Texts, value: string): Texts {
  const found = anchorKeys.filter((key) => texts[key] !== undefined);
  return found.length === 0 ? texts : { ...texts, ...Object.fromEntries(found.map((key) => [key, value])) };
}
