import type { PlacedFiles } from '../../../plan/file-secret.ts';
import { defineQuery } from '../../../snapshot/query.ts';
import { gatewayAt } from './gateways.ts';
import { gatewayOrigin } from './kinds.ts';
import { fileSecrets } from './server-tls.ts';
import { boundServers } from './servers.ts';

/** The files that the asking gateway's servers name. */
export const serverFiles = defineQuery('gateway.file-secrets', (view): readonly PlacedFiles[] =>
  view.call(boundServers).flatMap(({ gateway: key, index }) => {
    const gateway = gatewayAt(view, key);
    if (!gateway) return [];
    const origin = gatewayOrigin(gateway, `spec.servers[${index}].tls`);
    return fileSecrets(gateway.spec?.servers?.[index]?.tls ?? {}).map((files) => ({ ...files, origin }));
  }),
);
