import type { ConfigObject } from '../../../config/object.ts';
import type { Problem } from '../../../plan/feature.ts';
import type { View } from '../../../snapshot/view.ts';
import { type Gateway, gatewayOrigin } from './schema.ts';
import { secretKind } from './secrets.ts';
import { splitServerHost } from './servers.ts';

/** Credentials that are missing where the gateway would look if it runs in the Gateway's own namespace, and names taken twice. */
export function gatewayProblems(view: View, object: ConfigObject): Problem[] {
  if (object.kind !== 'Gateway') return [];
  const gateway = object as Gateway;
  return [...credentialProblems(view, gateway), ...conflictProblems(gateway)];
}

function credentialProblems(view: View, gateway: Gateway): Problem[] {
  const namespace = gateway.metadata.namespace ?? 'default';
  return (gateway.spec?.servers ?? []).flatMap((server, index) => {
    const credential = server.tls?.credentialName ?? '';
    if (credential === '' || view.get(secretKind, `${namespace}/${credential}`)) return [];
    return [
      {
        origin: gatewayOrigin(gateway, `spec.servers[${index}].tls.credentialName`),
        code: 'CredentialNotFound',
        message: `there is no Secret ${namespace}/${credential}: a gateway that runs in ${namespace} takes no connection on port ${server.port.number} until it exists`,
      },
    ];
  });
}

/** Two servers of one port that want the same TLS host: the first has it. */
function conflictProblems(gateway: Gateway): Problem[] {
  const namespace = gateway.metadata.namespace ?? 'default';
  const owners = new Map<string, number>();
  return (gateway.spec?.servers ?? []).flatMap((server, index) => {
    if (!server.tls || server.tls.httpsRedirect) return [];
    return server.hosts.flatMap((written) => {
      const { host } = splitServerHost(written, namespace);
      const id = `${server.port.number} ${host}`;
      const owner = owners.get(id);
      owners.set(id, owner ?? index);
      if (owner === undefined) return [];
      return [
        {
          origin: gatewayOrigin(gateway, `spec.servers[${index}].hosts`),
          code: 'ConflictingHost',
          message: `host ${host} on port ${server.port.number} belongs to spec.servers[${owner}] already: the first server has it`,
        },
      ];
    });
  });
}
