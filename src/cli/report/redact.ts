import type { ConfigObject } from '../../config/object.ts';

const hidden = '[redacted]';

/** Data of Secrets that is public by nature: certificates. */
const publicData: ReadonlySet<string> = new Set([
  'tls.crt',
  'ca.crt',
  'cert-chain.pem',
  'root-cert.pem',
  'ca-cert.pem',
  'cacert',
  'cert',
]);

/**
 * What must not leave the machine, wherever it stands in a text: private keys, tokens, credentials in headers and URLs, and values that
 * are named as secret.
 */
const patterns: readonly [RegExp, string][] = [
  [/-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----[\s\S]*?-----END (?:[A-Z]+ )*PRIVATE KEY-----/g, hidden],
  // The same with its line ends written out, as in JSON.
  [/-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----[^"]*/g, hidden],
  [/\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*/g, hidden],
  [/\b(bearer|basic)(\s+)[A-Za-z0-9+/_.~-]{8,}=*/gi, `$1$2${hidden}`],
  [/\b([a-z][a-z0-9+.-]*:\/\/[^\s:/@"']+):[^\s@/"']+@/gi, `$1:${hidden}@`],
  [
    /((?:"|\b)[\w.-]*(?:passw(?:or)?d|secret|token|api[_-]?key|credential|private[_-]?key)["']?\s*[=:]\s*)("(?:[^"\\]|\\.)+"|'[^']+'|[^\s"',;&}\]]+)/gi,
    `$1"${hidden}"`,
  ],
];

/** Names that match the last pattern and say nothing secret. */
const harmless = /(?:secretName|tokenAudience|credentialName|"?(?:token_?endpoint|jwt_?tokens?)"?)\s*[=:]/i;

/** A text of a log, without what is secret in it. */
export function redactText(text: string): string {
  return patterns.reduce(
    (rest, [pattern, instead]) =>
      rest.replace(pattern, (match: string, ...groups: unknown[]) =>
        harmless.test(match)
          ? match
          : instead.replace(/\$(\d)/g, (_all, index: string) => String(groups[Number(index) - 1] ?? '')),
      ),
    text,
  );
}

/** An object as it may be shown: of Secrets the names of what they hold, and certificates. */
export function redactObject(object: ConfigObject): ConfigObject {
  const annotations = object.metadata.annotations;
  const last = 'kubectl.kubernetes.io/last-applied-configuration';
  const cleaned = annotations?.[last] === undefined ? object : withoutAnnotation(object, last);
  if (cleaned.kind !== 'Secret' || cleaned.apiVersion !== 'v1') return redactValue(cleaned) as ConfigObject;
  const { data, stringData, ...rest } = cleaned as ConfigObject &
    Record<string, Record<string, string> | undefined>;
  return {
    ...(rest as ConfigObject),
    data: Object.fromEntries(
      [...Object.entries(data ?? {}), ...Object.entries(stringData ?? {})].map(([name, value]) => [
        name,
        publicData.has(name) ? value : Buffer.from(hidden).toString('base64'),
      ]),
    ),
  } as ConfigObject;
}

function withoutAnnotation(object: ConfigObject, name: string): ConfigObject {
  const { [name]: _removed, ...annotations } = object.metadata.annotations ?? {};
  return { ...object, metadata: { ...object.metadata, annotations } };
}

/** Values within JSON: texts are read for secrets, and values of environment variables that are named as secret are hidden. */
export function redactValue(value: unknown): unknown {
  if (typeof value === 'string') return redactEmbedded(value);
  if (Array.isArray(value)) return value.map(redactValue);
  if (typeof value !== 'object' || value === null) return value;
  const named = (value as { name?: unknown }).name;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) =>
      typeof inner === 'string' &&
      (isSecretName(key) || (key === 'value' && typeof named === 'string' && isSecretName(named)))
        ? [key, inner === '' ? inner : hidden]
        : [key, redactValue(inner)],
    ),
  );
}

function isSecretName(name: string): boolean {
  return (
    /(?:passw(?:or)?d|secret|token|api[_-]?key|private[_-]?key|authorization)$/i.test(name) &&
    !/^(?:secretName|inline_?string_?token)$/i.test(name)
  );
}

/** Within JSON a text stands for itself: only what is secret by its form is hidden. */
function redactEmbedded(text: string): string {
  if (text.length < 8) return text;
  return patterns.slice(0, 5).reduce((rest, [pattern, instead]) => rest.replace(pattern, instead), text);
}
