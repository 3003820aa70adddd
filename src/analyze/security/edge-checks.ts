import type { EnvoyFilterSpec } from '../../../gen/crd/types/istio/envoy-filter.ts';
import type { GatewaySpec } from '../../../gen/crd/types/istio/gateway.ts';
import { kinds } from '../analyzer.ts';
import { about, type Finding, type SecurityCheck } from './finding.ts';

const oldVersions = ['TLS_AUTO', 'TLSV1_0', 'TLSV1_1'];

/** Doors to the outside. */
export const gatewayServers: SecurityCheck = (view) =>
  view.all<GatewaySpec>(kinds.gateway).flatMap((source) =>
    (source.object.spec?.servers ?? []).flatMap((server, index): Finding[] => {
      const path = `spec.servers[${index}]`;
      const { port, tls, hosts = [] } = server;
      const protocol = (port?.protocol ?? '').toUpperCase();
      const found: Finding[] = [];
      if (['HTTP', 'HTTP2', 'GRPC', 'TCP', 'MONGO'].includes(protocol) && !tls?.httpsRedirect)
        found.push(
          about(source, `${path}.port`, {
            code: 'GatewayWithoutTls',
            level: 'Medium',
            what: `port ${port?.number} takes ${protocol} without TLS`,
            why: 'what clients send from outside, tokens and cookies too, can be read and changed on the way',
            mend: 'serve HTTPS, and redirect plain HTTP with tls.httpsRedirect',
          }),
        );
      if (tls?.minProtocolVersion && oldVersions.slice(1).includes(tls.minProtocolVersion))
        found.push(
          about(source, `${path}.tls.minProtocolVersion`, {
            code: 'OldTlsVersion',
            level: 'High',
            what: `${tls.minProtocolVersion} is taken`,
            why: 'TLS 1.0 and 1.1 are broken and withdrawn (RFC 8996)',
            mend: 'set minProtocolVersion to TLSV1_2 or TLSV1_3',
          }),
        );
      if (tls?.mode === 'OPTIONAL_MUTUAL')
        found.push(
          about(source, `${path}.tls.mode`, {
            code: 'ClientCertificateOptional',
            level: 'Low',
            what: 'clients without a certificate are let in',
            why: 'only a policy behind the gateway can tell them apart',
            mend: 'set MUTUAL, or ask for the certificate in an AuthorizationPolicy',
          }),
        );
      for (const [at, host] of hosts.entries())
        if (host === '*' || host === '*/*')
          found.push(
            about(source, `${path}.hosts[${at}]`, {
              code: 'AnyHost',
              level: 'Low',
              what: 'routes of any host may be attached, from any namespace',
              why: 'whoever may write a VirtualService can take over paths of others',
              mend: 'name the hosts, with the namespace that may route them: shop/shop.example.com',
            }),
          );
      return found;
    }),
  );

const securityFilters = /rbac|jwt_authn|ext_authz|tls|transport_socket|forward_client_cert|lua|wasm/i;

/** Patches may do anything, which no policy shows. */
export const patches: SecurityCheck = (view) =>
  view.all<EnvoyFilterSpec>(kinds.envoyFilter).flatMap((source) =>
    (source.object.spec?.configPatches ?? []).flatMap((patch, index): Finding[] => {
      const text = JSON.stringify(patch);
      const touched = securityFilters.exec(text)?.[0];
      if (touched === undefined) return [];
      const removes = patch.patch?.operation === 'REMOVE' && /rbac|jwt_authn|ext_authz/.test(text);
      return [
        about(source, `spec.configPatches[${index}]`, {
          code: removes ? 'SecurityFilterRemoved' : 'SecurityFilterPatched',
          level: removes ? 'High' : 'Medium',
          what: removes ? `a patch removes ${touched}` : `a patch touches ${touched}`,
          why: 'it works below the policies, which go on saying what holds no longer',
          mend: 'use the API made for it (AuthorizationPolicy, RequestAuthentication, PeerAuthentication), or review the patch',
        }),
      ];
    }),
  );
