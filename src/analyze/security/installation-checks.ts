import type { Finding, SecurityCheck } from './finding.ts';

const day = 86_400_000;
/** An authority's certificate that ends sooner is told of; mutual TLS ends with it. */
const warnDays = 30;

export const outbound: SecurityCheck = ({ outboundTrafficPolicy }) =>
  outboundTrafficPolicy === 'REGISTRY_ONLY'
    ? []
    : [
        {
          code: 'AnyDestination',
          level: 'Medium',
          resource: 'the mesh',
          path: 'outboundTrafficPolicy.mode',
          what: `workloads may call any host (${outboundTrafficPolicy})`,
          why: 'whoever takes over a workload can send data to anywhere',
          mend: 'set outboundTrafficPolicy.mode to REGISTRY_ONLY, and add a ServiceEntry for each host that is needed',
        },
      ];

/** What holds for every mesh of processes on one machine. */
export const processes: SecurityCheck = ({ standalone }) =>
  standalone
    ? [
        {
          code: 'LocalProcesses',
          level: 'Info',
          resource: 'this machine',
          path: '',
          what: 'explicit capture isolates no local process from another',
          why: 'who may open a connection on loopback can call an application’s own port, or a sidecar’s outbound listener as its identity',
          mend: 'run only what you trust on this machine; mutual TLS is enforced at the sidecars’ ports',
        },
      ]
    : [];

export const fetches: SecurityCheck = ({ allowFetch }) =>
  allowFetch.map(
    (range): Finding => ({
      code: 'PrivateFetchAllowed',
      level: range.endsWith('/0') ? 'High' : 'Low',
      resource: 'mesh.yaml',
      path: 'allowFetch',
      what: `keys may be fetched from ${range}, which is not public`,
      why: 'whoever may write a RequestAuthentication can have the control plane call addresses there',
      mend: 'name the one address that serves keys, or serve them publicly',
    }),
  );

export const listeners: SecurityCheck = ({ listeners: { insecureXds, monitoring } }) => [
  ...(insecureXds === undefined
    ? []
    : [
        {
          code: 'InsecureXds',
          level: 'High' as const,
          resource: 'the control plane',
          path: '--insecure-xds',
          what: `it gives configuration without proof of who asks (${insecureXds})`,
          why: 'every process that reaches the port gets what any proxy has, keys of gateways included',
          mend: 'start it without --insecure-xds: proxies connect to --xds with their certificates',
        },
      ]),
  ...(monitoring === undefined || isLoopback(monitoring)
    ? []
    : [
        {
          code: 'MonitoringReachable',
          level: 'Low' as const,
          resource: 'the control plane',
          path: '--monitoring',
          what: `metrics and health are told to whoever reaches ${monitoring}`,
          why: 'they hold counts, no configuration, but tell how large and how busy the mesh is',
          mend: 'listen on loopback, or let a firewall admit the collector alone',
        },
      ]),
];

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.');
}

const hour = 3_600_000;

/** Agents renew at half life: what is about to end is not renewed. */
export const workloadCertificates: SecurityCheck = ({ firstWorkloadEnd, now }) => {
  const left = firstWorkloadEnd === undefined ? Infinity : firstWorkloadEnd.getTime() - now;
  if (left >= hour) return [];
  return [
    {
      code: 'WorkloadCertificateEnds',
      level: 'Low',
      resource: 'the workloads',
      path: '',
      what: `the first certificate of a workload ends in ${Math.max(0, Math.round(left / 60_000))} minutes`,
      why: 'it is renewed at half of its life, unless its workload is gone, its agent is not heard, or lives are that short (SECRET_TTL)',
      mend: 'look at ostria ca status and ostria ps, and at the log of the agent that does not renew',
    },
  ];
};

export const certificates: SecurityCheck = ({ certificates: all, now }) =>
  all.flatMap(({ what, notAfter }): Finding[] => {
    const days = Math.floor((notAfter.getTime() - now) / day);
    if (days >= warnDays) return [];
    return [
      {
        code: 'CertificateEnds',
        level: days < 7 ? 'High' : 'Medium',
        resource: `the ${what} of the authority`,
        path: '',
        what: days < 0 ? 'it has ended' : `it ends in ${days} days`,
        why: 'no connection of the mesh comes about after it',
        mend: 'ostria ca rotate, or put new files in their place',
      },
    ];
  });
