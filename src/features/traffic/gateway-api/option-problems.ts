import type { ConfigObject } from '../../../config/object.ts';
import { quote } from '../../../config/report.ts';
import type { Problem } from '../../../plan/feature.ts';
import type { View } from '../../../snapshot/view.ts';
import { group, namespaceOf } from './kinds.ts';
import { tlsModeOption } from './listeners.ts';

type Options = Readonly<Record<string, string>> | undefined;

/** Options mean what an implementation says: those that this one does not know are told. */
export function optionProblems(_: View, object: ConfigObject): Problem[] {
  if (!object.apiVersion.startsWith(`${group}/`)) return [];
  const { listeners = [], options } = (object.spec ?? {}) as {
    readonly listeners?: readonly { readonly tls?: { readonly options?: Options } }[];
    readonly options?: Options;
  };
  return [
    ...listeners.flatMap(({ tls }, index) =>
      unknownOptions(object, tls?.options, `spec.listeners[${index}].tls.options`, [tlsModeOption]),
    ),
    ...(object.kind === 'BackendTLSPolicy' ? unknownOptions(object, options, 'spec.options', []) : []),
  ];
}

function unknownOptions(object: ConfigObject, options: Options, path: string, known: string[]): Problem[] {
  const hint = known.length > 0 ? `: the known one is ${known.join(', ')}` : ': there are none';
  return Object.keys(options ?? {})
    .filter((name) => !known.includes(name))
    .map((name) => ({
      origin: { kind: object.kind, namespace: namespaceOf(object), name: object.metadata.name, path },
      code: 'NotActedOn',
      message: `${quote(name)} is no option that is acted on${hint}`,
    }));
}
