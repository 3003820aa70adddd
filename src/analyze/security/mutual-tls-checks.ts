import type { DestinationRuleSpec } from '../../../gen/crd/types/istio/destination-rule.ts';
import type { PeerAuthenticationSpec } from '../../../gen/crd/types/istio/peer-authentication.ts';
import { kinds } from '../analyzer.ts';
import { about, type Finding, type SecurityCheck } from './finding.ts';

const peerAuthentication = 'PeerAuthentication.security.istio.io';

const openModes: Readonly<Record<string, Pick<Finding, 'code' | 'level' | 'what'>>> = {
  PERMISSIVE: { code: 'MtlsPermissive', level: 'High', what: 'takes plaintext beside mutual TLS' },
  DISABLE: { code: 'MtlsDisabled', level: 'High', what: 'takes plaintext only' },
};

const why =
  'whoever reaches the port is let in without an identity, and what he sends can be read and changed on the way';

/** PeerAuthentication, mesh-wide, by namespace, workload and port. */
export const openPorts: SecurityCheck = (view) => {
  const found = view.all<PeerAuthenticationSpec>(peerAuthentication).flatMap((source): Finding[] => {
    const { mtls, portLevelMtls = {} } = source.object.spec ?? {};
    const modes: [string, string | undefined][] = [
      ['spec.mtls.mode', mtls?.mode],
      ...Object.entries(portLevelMtls).map(([port, { mode }]): [string, string | undefined] => [
        `spec.portLevelMtls.${port}.mode`,
        mode,
      ]),
    ];
    return modes.flatMap(([path, mode]) => {
      const open = openModes[mode ?? ''];
      return open
        ? [
            about(source, path, {
              ...open,
              why,
              mend: 'set STRICT once ostria policy suggest shows no plaintext callers',
            }),
          ]
        : [];
    });
  });
  const meshWide = view
    .all<PeerAuthenticationSpec>(peerAuthentication)
    .some(
      ({ object: { metadata, spec } }) =>
        (metadata.namespace ?? 'default') === view.rootNamespace &&
        !spec?.selector &&
        (spec?.mtls?.mode ?? 'UNSET') !== 'UNSET',
    );
  const open = meshWide ? undefined : openModes[view.defaultMtlsMode];
  if (open)
    found.push({
      ...open,
      resource: 'the mesh',
      path: '',
      what: `${open.what}, since no PeerAuthentication of the mesh says otherwise`,
      why,
      mend: `apply a PeerAuthentication with mtls.mode STRICT in ${view.rootNamespace}`,
    });
  return found;
};

/** DestinationRules that take TLS away or do not look at whom they speak with. */
export const uncheckedServers: SecurityCheck = (view) =>
  view.all<DestinationRuleSpec>(kinds.destinationRule).flatMap((source) => {
    const { trafficPolicy, subsets = [] } = source.object.spec ?? {};
    const policies: [string, typeof trafficPolicy][] = [
      ['spec.trafficPolicy', trafficPolicy],
      ...subsets.map((subset, i): [string, typeof trafficPolicy] => [
        `spec.subsets[${i}].trafficPolicy`,
        subset.trafficPolicy,
      ]),
    ];
    const settings = policies.flatMap(([path, policy]) => [
      { path: `${path}.tls`, tls: policy?.tls },
      ...(policy?.portLevelSettings ?? []).map(({ tls }, i) => ({
        path: `${path}.portLevelSettings[${i}].tls`,
        tls,
      })),
    ]);
    return settings.flatMap(({ path, tls }): Finding[] => {
      if (!tls) return [];
      const {
        mode = 'DISABLE',
        insecureSkipVerify,
        caCertificates,
        credentialName,
        subjectAltNames = [],
      } = tls;
      if (mode === 'DISABLE')
        return [
          about(source, `${path}.mode`, {
            code: 'TlsTurnedOff',
            level: 'High',
            what: 'calls go out in plaintext',
            why: 'what is sent can be read and changed on the way, and the server does not prove who it is',
            mend: 'remove tls, so that automatic mutual TLS decides, or set ISTIO_MUTUAL or SIMPLE',
          }),
        ];
      if (insecureSkipVerify)
        return [
          about(source, `${path}.insecureSkipVerify`, {
            code: 'CertificateNotVerified',
            level: 'High',
            what: 'the server’s certificate is not looked at',
            why: 'anybody on the way can pretend to be the server',
            mend: 'remove insecureSkipVerify and name the authority in caCertificates or credentialName',
          }),
        ];
      if (mode !== 'ISTIO_MUTUAL' && (caCertificates || credentialName) && subjectAltNames.length === 0)
        return [
          about(source, path, {
            code: 'AnyNameOfAuthority',
            level: 'Low',
            what: 'any certificate of the authority is taken for the server’s, unless the host’s name is compared',
            why: 'another server of the same authority could answer in its place',
            mend: 'name the server in subjectAltNames',
          }),
        ];
      return [];
    });
  });
