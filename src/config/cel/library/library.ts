import { formatMethods, formatNamespaces } from './formats.ts';
import type { Library } from './handler.ts';
import { listMethods, listNamespaces } from './lists.ts';
import { networkFunctions, networkMethods } from './network.ts';
import { quantityFunctions, quantityMethods } from './quantity.ts';
import { standardFunctions, standardMethods, standardNamespaces } from './standard.ts';
import { stringMethods, stringNamespaces } from './strings.ts';

// CEL's standard library and Kubernetes' additions: https://kubernetes.io/docs/reference/using-api/cel/

/** Without a prototype: an expression may call a function `constructor`. */
function merge(...parts: Library[]): Library {
  return Object.assign(Object.create(null) as Library, ...parts) as Library;
}

export const functions = merge(standardFunctions, networkFunctions, quantityFunctions);

export const methods = merge(
  standardMethods,
  stringMethods,
  listMethods,
  networkMethods,
  quantityMethods,
  formatMethods,
);

/** Functions under a name, such as `optional.of` and `sets.contains`. */
export const namespaces = merge(standardNamespaces, stringNamespaces, listNamespaces, formatNamespaces);
