import type { Shaper } from '../../../plan/feature.ts';
import { anchorsOfFiles, type FileSecret, pairOfFiles } from '../../../plan/file-secret.ts';
import { type SecretPlan, secretPlan } from '../../../plan/listener-plan.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { defineIndex } from '../../../snapshot/world.ts';
import type { TrafficPolicy } from './policy.ts';
import { type DestinationRule, destinationRuleKind, originIn, tlsSettingsOf } from './rules.ts';

type TlsSettings = NonNullable<TrafficPolicy['tls']>;

export interface TlsFiles {
  readonly client?: FileSecret;
  readonly anchors?: FileSecret;
}

/** The files that TLS settings of mode SIMPLE or MUTUAL name, under names that no server's files have. */
export function tlsFiles(tls: TlsSettings): TlsFiles {
  const { clientCertificate, privateKey, caCertificates, insecureSkipVerify } = tls;
  const named = (secret: FileSecret): FileSecret => ({ ...secret, name: `upstream-${secret.name}` });
  return {
    ...(tls.mode === 'MUTUAL' && clientCertificate && privateKey
      ? { client: named(pairOfFiles(clientCertificate, privateKey)) }
      : {}),
    ...(caCertificates && caCertificates !== 'system' && !insecureSkipVerify
      ? { anchors: named(anchorsOfFiles(caCertificates, tls.caCrl)) }
      : {}),
  };
}

interface PlacedSecret extends FileSecret {
  readonly path: string;
}

function secretsOf(rule: DestinationRule): PlacedSecret[] {
  return tlsSettingsOf(rule).flatMap(({ tls, path }) => {
    if (tls.mode !== 'SIMPLE' && tls.mode !== 'MUTUAL') return [];
    const { client, anchors } = tlsFiles(tls);
    return [client, anchors].flatMap((secret) => (secret ? [{ ...secret, path }] : []));
  });
}

/** Names of secrets → rules that name their files. */
const rulesByFiles = defineIndex('destination-rules-by-files', destinationRuleKind, (rule) => [
  ...new Set(secretsOf(rule).map(({ name }) => name)),
]);

const rulesWithFiles = defineIndex('destination-rules-files', destinationRuleKind, (rule) =>
  secretsOf(rule).length > 0 ? [''] : [],
);

/** For every proxy: only those that a rule concerns ask for its secrets, and these hold no more than paths. */
const names = defineQuery('destination-rule.file-secrets', (view): readonly Key[] => {
  const rules = view.list(rulesWithFiles, '').flatMap((key) => view.get(destinationRuleKind, key) ?? []);
  return [...new Set(rules.flatMap((rule) => secretsOf(rule).map(({ name }) => name)))].sort();
});

/** name, the first rule that names the files */
function resolveFiles(view: View, name: Key): readonly Key[] | undefined {
  const [rule] = view.list(rulesByFiles, name);
  return rule === undefined ? undefined : [name, rule];
}

/** Envoy reads the files, and again when others take their place by renaming. While one is missing the cluster waits, and no other. */
function planFiles(view: View, name: Key, key: Key): SecretPlan | undefined {
  const rule = view.get(destinationRuleKind, key);
  const found = rule && secretsOf(rule).find((secret) => secret.name === name);
  return found && secretPlan({ name, content: found.content, origin: originIn(rule, found.path) });
}

export const destinationRuleFiles: Shaper<SecretPlan> = {
  name: 'destination-rule-files',
  keys: names,
  resolve: resolveFiles,
  plan: planFiles,
};
