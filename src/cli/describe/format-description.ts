import type { Colors } from 'picocolors/types.js';
import type { Message } from '../../analyze/message.ts';
import { formatAge } from '../output/age.ts';
import { textTable } from '../output/text-table.ts';
import type { HeldCertificate } from './certificates-of.ts';
import type { Applies, DescribedService, DescribedWorkload } from './describe.ts';

export function formatService(service: DescribedService, colors: Colors): string {
  const { bold, red } = colors;
  const ports = service.ports.map(
    ({ name, port, protocol }) => `${port} ${protocol}${name === '' ? '' : ` (${name})`}`,
  );
  const endpoints = service.endpoints.map(({ workload, address, healthy, mtls }) => [
    `  ${workload || '-'}`,
    address,
    healthy ? 'ready' : red('not ready'),
    mtls ? 'mutual TLS' : 'plaintext',
  ]);
  return [
    `${bold(`Service ${service.service}`)}\n`,
    `Ports: ${ports.join(', ') || 'none'}\n`,
    endpoints.length > 0 ? `Endpoints:\n${textTable([], endpoints)}` : `Endpoints: ${red('none')}\n`,
    objects('Routing', service.routing, 'nothing: requests go to every endpoint alike', colors),
    objects('Policies on its workloads', service.policies, 'none', colors),
  ].join('');
}

export function formatWorkload(
  workload: DescribedWorkload,
  state: string | undefined,
  certificates: readonly HeldCertificate[] | string | undefined,
  colors: Colors,
): string {
  const { bold, dim } = colors;
  const { mtls } = workload;
  const ports = Object.entries(mtls?.ports ?? {}).map(([port, mode]) => `, ${mode} on port ${port}`);
  const by = mtls && (mtls.by.kind === 'MeshConfig' ? 'the mesh’s default' : objectName(mtls.by));
  return [
    `${bold(`Workload ${workload.workload}`)}\n`,
    `Identity: ${workload.identity}\n`,
    `Proxy: ${workload.proxy ?? 'none: it takes part in no mutual TLS, and no policy holds for it'}${state === undefined ? '' : `, ${state}`}\n`,
    `Services: ${workload.services.join(', ') || 'none: nobody finds it by a name'}\n`,
    ...(mtls ? [`Mutual TLS: ${mtls.mode}${ports.join('')} ${dim(`(${by})`)}\n`] : []),
    ...(workload.gateways ? [objects('Gateways', workload.gateways, 'none selects it', colors)] : []),
    ...(certificates === undefined ? [] : [formatCertificates(certificates, Date.now(), colors)]),
    `Callers:\n${workload.callers.map((line) => `  ${line}\n`).join('')}`,
    objects('Objects that select it', workload.policies, 'none', colors),
  ].join('');
}

/** Its own with their names, then what it trusts; how long each lasts. */
export function formatCertificates(
  certificates: readonly HeldCertificate[] | string,
  now: number,
  { red, yellow, dim }: Colors,
): string {
  if (typeof certificates === 'string') return `Certificates: ${dim(`not known: ${certificates}`)}\n`;
  if (certificates.length === 0) return 'Certificates: none yet\n';
  const rows = certificates.map(({ what, names, notAfter, serial }) => {
    const leftMs = Date.parse(notAfter) - now;
    const left = leftMs > 0 ? `ends in ${formatAge(leftMs)}` : 'has ended';
    const color = leftMs <= 0 ? red : leftMs < hourMs ? yellow : (text: string) => text;
    return [
      `  ${what === 'own' ? names.join(', ') || 'no name' : 'root'}`,
      color(left),
      dim(`${notAfter}  ${serial}`),
    ];
  });
  return `Certificates:\n${textTable([], rows)}`;
}

/** Certificates of workloads are renewed long before: what has less left is not. */
const hourMs = 3_600_000;

export function formatWarnings(messages: readonly Message[], { yellow, red }: Colors): string {
  if (messages.length === 0) return '';
  const lines = messages.map(({ severity, code, resource, message, position }) => {
    const place = position ? ` ${position.file}:${position.line}:${position.column}` : '';
    return `  ${severity === 'Error' ? red(severity) : yellow(severity)} [${code}] (${resource}${place}) ${message}\n`;
  });
  return `Warnings:\n${lines.join('')}`;
}

function objects(title: string, all: readonly Applies[], none: string, { dim }: Colors): string {
  if (all.length === 0) return `${title}: ${none}\n`;
  return `${title}:\n${textTable(
    [],
    all.map((one) => [`  ${objectName(one)}`, one.says ?? '', dim(one.at ?? '')]),
  )}`;
}

function objectName({ kind, namespace, name }: Applies): string {
  return `${kind} ${namespace === '' ? '' : `${namespace}/`}${name}`;
}
