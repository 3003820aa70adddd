import { stringify } from 'yaml';
import { CodedError } from '../../kit/coded-error.ts';
import type { ApiAccess } from '../../kit/kubeconfig.ts';
import type { CallRecord } from '../../observe/call-record.ts';
import { type Suggestion, suggestPolicies } from '../../observe/suggest-policies.ts';
import { type PeerAuthentication, strictWherePossible } from '../../observe/suggest-strict.ts';
import type { MeshConfig } from '../../registry/mesh-config.ts';
import { readMesh } from '../analyze/read-mesh.ts';
import { ApiClient } from '../api/api-client.ts';
import { formatStructured, type StructuredFormat } from '../output/structured.ts';
import { err } from '../output/style.ts';
import { proxiesOf } from '../proxy/mesh-proxies.ts';
import { type GatherOptions, gatherRecords } from './gather.ts';
import { readWorkloadBook, type WorkloadBook } from './observed-workloads.ts';

interface SuggestRun extends GatherOptions {
  readonly names: readonly string[];
  readonly dryRun: boolean;
  readonly output: StructuredFormat;
}

/** Refusals told of one suggestion. */
const mostTold = 5;

/** `ostria policy suggest`. */
export async function suggest(access: ApiAccess, run: SuggestRun): Promise<void> {
  const client = new ApiClient(access);
  try {
    const records = await gatherRecords(proxiesOf(access, client), run);
    const [book, settings, authentications] = await Promise.all([
      readWorkloadBook(client),
      client.get<{ readonly inForce: MeshConfig }>('/debug/mesh-config'),
      readMesh(client, new Set(['PeerAuthentication.security.istio.io'])),
    ]);
    const { trustDomain, trustDomainAliases, rootNamespace, defaultMtlsMode } = settings.inForce;
    const wanted = records.filter((record) => isWanted(record, run.names, book));
    const suggestions = suggestPolicies(wanted, {
      workloadOf: book.workloadOf,
      trustDomains: [trustDomain, ...trustDomainAliases],
      dryRun: run.dryRun,
    });
    if (suggestions.length === 0)
      throw new CodedError(
        'NothingObserved',
        `no call was recorded${run.names.length > 0 ? ` at ${run.names.join(', ')}` : ''}; record some with --observe 30s while the mesh is used`,
      );
    const strict = strictWherePossible(wanted, {
      objects: authentications.sources.map(({ object }) => object as PeerAuthentication),
      namespaceOf: (record) => book.workloadOf(record)?.namespace,
      rootNamespace,
      meshMode: defaultMtlsMode,
    });
    const objects = [...suggestions.map(({ policy }) => policy), ...strict];
    process.stdout.write(
      run.output === 'json'
        ? formatStructured({ apiVersion: 'v1', kind: 'List', items: objects }, 'json')
        : [...suggestions.map(policyText), ...strict.map((one) => stringify(one, { lineWidth: 0 }))].join(
            '---\n',
          ),
    );
    for (const suggestion of suggestions) process.stderr.write(summary(suggestion));
  } finally {
    client.close();
  }
}

function isWanted(record: CallRecord, names: readonly string[], book: WorkloadBook): boolean {
  if (names.length === 0) return true;
  const service = book.workloadOf(record)?.name;
  return names.some(
    (name) => name === service || record.workload === name || record.workload.startsWith(`${name}-`),
  );
}

function policyText({ policy, observed, refused, refusals }: Suggestion): string {
  const told = refusals
    .slice(0, mostTold)
    .map(({ what, why, count }) => `#   ${count} × ${oneLine(what)} (${why})\n`);
  const head = `# From ${observed} ${observed === 1 ? 'call' : 'calls'} that were observed; ${refused} of them it would have refused${refused > 0 ? ':' : '.'}\n`;
  return `${head}${told.join('')}${stringify(policy, { lineWidth: 0 })}`;
}

/** What callers write stays within its comment. */
function oneLine(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?');
}

function summary({ workload, policy, observed, refused }: Suggestion): string {
  const rules = policy.spec?.rules?.length ?? 0;
  const score = `${refused} of ${observed} observed calls refused`;
  return `${workload.namespace}/${workload.name}: ${rules} ${rules === 1 ? 'rule' : 'rules'}, ${refused > 0 ? err.yellow(score) : err.green(score)}\n`;
}
