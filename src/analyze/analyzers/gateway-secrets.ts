import { certificateFacts, parsePem, privateKeyFacts } from '../../kit/certificate-facts.ts';
import { holdsLabels } from '../../kit/labels.ts';
import { type Analyzer, type Item, kinds } from '../analyzer.ts';

interface GatewaySpec {
  readonly selector?: Readonly<Record<string, string>>;
  readonly servers?: readonly { readonly tls?: { readonly credentialName?: string } }[];
}

/** IST0101 and IST0161: credentials that are not there, or that no proxy could use. */
export const gatewaySecretAnalyzer: Analyzer = {
  name: 'gateway.SecretAnalyzer',
  inputs: [kinds.gateway, kinds.pod, kinds.secret],
  analyze: (view) => {
    const pods = view.all(kinds.pod);
    const secrets = new Map(
      view.all(kinds.secret).map((secret) => [`${secret.namespace}/${secret.name}`, secret]),
    );
    for (const gateway of view.all<GatewaySpec>(kinds.gateway)) {
      const { selector = {}, servers = [] } = gateway.spec;
      // A credential is read beside the workload. Where there is none the port analyzer says so.
      const pod = pods.find(({ labels }) => holdsLabels(labels, selector));
      for (const [index, { tls }] of servers.entries()) {
        const name = tls?.credentialName;
        if (!pod || !name || name.includes('://')) continue;
        const key = `${pod.namespace}/${name}`;
        const path = `spec.servers[${index}].tls.credentialName`;
        const secret = secrets.get(key);
        const problem = secret && secretProblem(secret, view.now);
        if (!secret)
          view.report(
            'IST0101',
            gateway,
            `there is no secret ${key}; create it where the gateway's workload runs`,
            path,
          );
        if (problem) view.report('IST0161', gateway, `secret ${key}: ${problem}`, path);
      }
    }
  },
};

/** Why a proxy could not serve with it. */
export function secretProblem({ object }: Item<unknown>, now: number): string | undefined {
  const data = (object.data ?? {}) as Readonly<Record<string, string>>;
  const text = (name: string) => (typeof data[name] === 'string' ? decode(data[name]) : undefined);
  const certificate = text('tls.crt') ?? text('cert');
  const key = text('tls.key') ?? text('key');
  if (certificate === undefined || key === undefined)
    return 'has no certificate and key; put them under tls.crt and tls.key';
  const block = parsePem(certificate).find(({ label }) => label === 'CERTIFICATE');
  const facts = block && certificateFacts(block.der);
  if (!facts) return 'its certificate is not PEM; replace it';
  const pair = parsePem(key).map(privateKeyFacts).find(Boolean);
  if (!pair) return 'its key is not PEM, or is encrypted; replace it';
  if (facts.key.identity && pair.identity && facts.key.identity !== pair.identity)
    return 'its key is not that of its certificate; replace one of them';
  if (facts.notAfter < now) return `its certificate ended on ${day(facts.notAfter)}; renew it`;
  if (facts.notBefore > now)
    return `its certificate begins on ${day(facts.notBefore)}; use one that holds already`;
  return undefined;
}

function decode(base64: string): string {
  try {
    return atob(base64.replace(/\s+/g, ''));
  } catch {
    return '';
  }
}

function day(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}
