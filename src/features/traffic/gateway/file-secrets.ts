import type { Shaper } from '../../../plan/feature.ts';
import type { FileSecret } from '../../../plan/file-secret.ts';
import { type SecretPlan, secretPlan } from '../../../plan/listener-plan.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { gatewayAt } from './gateways.ts';
import { gatewayOrigin } from './kinds.ts';
import { fileSecrets } from './server-tls.ts';
import { boundServers } from './servers.ts';

const names = defineQuery('gateway.file-secrets', (view): readonly Key[] => [
  ...new Set(view.call(boundServers).flatMap((server) => secretsOf(view, server).map(({ name }) => name))),
]);

function secretsOf(view: View, { gateway, index }: { gateway: Key; index: number }): FileSecret[] {
  return fileSecrets(gatewayAt(view, gateway)?.spec?.servers?.[index]?.tls ?? {});
}

/** The files as text, and the first server that names them */
function resolveFiles(view: View, name: Key): readonly Key[] | undefined {
  for (const server of view.call(boundServers)) {
    const found = secretsOf(view, server).find((secret) => secret.name === name);
    if (found) return [JSON.stringify(found), server.gateway, String(server.index)];
  }
  return undefined;
}

/** Envoy reads the files, and again when others take their place by renaming. One that is missing closes its own server only. */
function planFiles(view: View, text: Key, key: Key, index: Key): SecretPlan | undefined {
  const gateway = gatewayAt(view, key);
  if (!gateway) return undefined;
  const { name, content } = JSON.parse(text) as FileSecret;
  return secretPlan({ name, content, origin: gatewayOrigin(gateway, `spec.servers[${index}].tls`) });
}

export const gatewayFiles: Shaper<SecretPlan> = {
  name: 'gateway-files',
  keys: names,
  resolve: resolveFiles,
  plan: planFiles,
};
