import { anchorsOfFiles, type FileSecret, type PlacedFiles, pairOfFiles } from '../../../plan/file-secret.ts';
import { systemAnchors } from '../../../plan/system-trust.ts';
import { defineQuery } from '../../../snapshot/query.ts';
import { defineIndex } from '../../../snapshot/world.ts';
import type { TrafficPolicy } from './policy.ts';
import { type DestinationRule, destinationRuleKind, originIn, tlsSettingsOf } from './rules.ts';

type TlsSettings = NonNullable<TrafficPolicy['tls']>;

export interface TlsFiles {
  readonly client?: FileSecret;
  readonly anchors?: FileSecret;
}

/** The files that TLS settings of mode SIMPLE or MUTUAL name. */
export function tlsFiles(tls: TlsSettings): TlsFiles {
  const { clientCertificate, privateKey, caCertificates, insecureSkipVerify } = tls;
  return {
    ...(tls.mode === 'MUTUAL' && clientCertificate && privateKey
      ? { client: pairOfFiles(clientCertificate, privateKey) }
      : {}),
    ...(caCertificates && caCertificates !== 'system' && !insecureSkipVerify
      ? { anchors: anchorsOfFiles(caCertificates, tls.caCrl) }
      : {}),
  };
}

/** Whether names are compared is the service's to say, too: the machine's own anchors are there in any case. */
function placedIn(rule: DestinationRule): PlacedFiles[] {
  return tlsSettingsOf(rule).flatMap(({ tls, path }) => {
    if (tls.mode !== 'SIMPLE' && tls.mode !== 'MUTUAL') return [];
    const { client, anchors = systemAnchors } = tlsFiles(tls);
    const origin = originIn(rule, path);
    return [client, anchors].flatMap((files) => (files ? [{ ...files, origin }] : []));
  });
}

const rulesWithFiles = defineIndex('destination-rules-files', destinationRuleKind, (rule) =>
  placedIn(rule).length > 0 ? [''] : [],
);

/** For every proxy: only those that a rule concerns ask for its secrets, and these hold no more than paths. */
export const ruleFiles = defineQuery('destination-rule.file-secrets', (view): readonly PlacedFiles[] =>
  view.list(rulesWithFiles, '').flatMap((key) => {
    const rule = view.get(destinationRuleKind, key);
    return rule ? placedIn(rule) : [];
  }),
);
