import { originId, parseOriginId } from '../../config/origin.ts';
import type { Position } from '../../config/source-map.ts';
import type { ParsedObject } from '../../config/yaml-documents.ts';
import {
  type AppliedPolicy,
  type AuthorizationPolicy,
  appliedPolicy,
} from '../../features/security/authorization-policy/schema.ts';
import { CodedError } from '../../kit/coded-error.ts';
import type { ApiAccess } from '../../kit/kubeconfig.ts';
import { holdsLabels } from '../../kit/labels.ts';
import type { CallRecord } from '../../observe/call-record.ts';
import { checkPolicies, type PolicyCheck, type WouldRefuse } from '../../observe/check-policies.ts';
import { groupFailures } from '../../observe/group-failures.ts';
import { ApiClient } from '../api/api-client.ts';
import { formatProblem } from '../apply/apply-objects.ts';
import { collectObjects } from '../apply/collect-objects.ts';
import { localMeshOf } from '../apply/wait/local-mesh.ts';
import { exitCodes } from '../exit-codes.ts';
import { createLocator, formatPosition } from '../origins/locate.ts';
import { formatStructured, type StructuredFormat } from '../output/structured.ts';
import { out } from '../output/style.ts';
import { writeText } from '../output/wrap-text.ts';
import { proxiesOf } from '../proxy/mesh-proxies.ts';
import { structuredGroup } from './failure-data.ts';
import { describeCall, formatGroups, originsOfGroup } from './failure-text.ts';
import { type GatherOptions, gatherRecords } from './gather.ts';
import { readKnownMesh } from './known-mesh.ts';
import { readWorkloadBook, type WorkloadBook } from './observed-workloads.ts';

interface CheckRun extends GatherOptions {
  readonly files: readonly string[];
  readonly output?: StructuredFormat | undefined;
}

/** `ostria policy check`. */
export async function check(access: ApiAccess, run: CheckRun): Promise<void> {
  const client = new ApiClient(access);
  try {
    const records = await gatherRecords(proxiesOf(access, client), run);
    const known = await readKnownMesh(client);
    if (run.files.length > 0) {
      const policies = policiesIn(run.files);
      const book = await readWorkloadBook(client);
      const found = checkPolicies(
        records,
        appliedTo(policies, book, known.rootNamespace),
        known.trustDomains,
      );
      process.stdout.write(
        run.output ? formatStructured(dataOf(found, policies), run.output) : textOf(found, policies),
      );
      if (found.refused > 0) process.exitCode = exitCodes.invalidInput;
      return;
    }
    const groups = groupFailures(records, known).filter(({ kind }) => kind === 'would be refused');
    const locator = createLocator({ paths: localMeshOf(access), server: access.server, client });
    const positions = await locator.locate(groups.flatMap(originsOfGroup));
    if (run.output)
      process.stdout.write(
        formatStructured(
          groups.map((group) => structuredGroup(group, positions)),
          run.output,
        ),
      );
    else writeText(groups.length > 0 ? formatGroups(groups, positions) : nothing(known.policies));
    if (groups.length > 0) process.exitCode = exitCodes.invalidInput;
  } finally {
    client.close();
  }
}

function nothing(policies: readonly AppliedPolicy[] | undefined): string {
  return policies?.some(({ dryRun }) => dryRun)
    ? 'The policies in dry run would have refused no call that was recorded.\n'
    : 'No policy is in dry run (annotation istio.io/dry-run: "true").\n';
}

interface FilePolicy {
  readonly applied: AppliedPolicy;
  readonly selector: Readonly<Record<string, string>>;
  readonly parsed: ParsedObject;
}

function policiesIn(files: readonly string[]): FilePolicy[] {
  const { objects, problems } = collectObjects(files, { recursive: true });
  if (problems.length > 0) throw new CodedError('ObjectInvalid', problems.map(formatProblem).join('\n'));
  const found = objects
    .filter(({ object }) => object.kind === 'AuthorizationPolicy')
    .map((parsed): FilePolicy => {
      const policy = parsed.object as AuthorizationPolicy;
      return { applied: appliedPolicy(policy), selector: policy.spec?.selector?.matchLabels ?? {}, parsed };
    });
  if (found.length > 0) return found;
  throw new CodedError(
    'FileNotFound',
    `${files.join(', ')} ${files.length > 1 ? 'hold' : 'holds'} no AuthorizationPolicy`,
  );
}

function appliedTo(
  policies: readonly FilePolicy[],
  book: WorkloadBook,
  rootNamespace: string,
): (record: CallRecord) => AppliedPolicy[] {
  return (record) => {
    const workload = book.labelsOf(record);
    if (!workload) return [];
    return policies
      .filter(
        ({ applied, selector }) =>
          [workload.namespace, rootNamespace].includes(applied.namespace) &&
          holdsLabels(workload.labels, selector),
      )
      .map(({ applied }) => applied);
  };
}

function positionOf(id: string, policies: readonly FilePolicy[]): Position | undefined {
  const origin = parseOriginId(id);
  const policy = policies.find(
    ({ applied }) => applied.namespace === origin?.namespace && applied.name === origin.name,
  );
  return origin && policy?.parsed.positions.at(origin.path);
}

function textOf(
  { judged, refused, undecided, refusals }: PolicyCheck,
  policies: readonly FilePolicy[],
): string {
  const score = `${refused} of ${judged} recorded calls would be refused`;
  const rest = undecided > 0 ? `; of ${undecided} the record does not say enough (headers, claims)` : '';
  const head = `${refused > 0 ? out.red(score) : out.green(score)}${rest}.\n`;
  const hint = judged === 0 ? 'Record some with --observe 30s while the mesh is used.\n' : '';
  return `${head}${hint}${refusals.map((one) => refusalText(one, policies)).join('')}`;
}

function refusalText(
  { count, example, decidedBy, nearest }: WouldRefuse,
  policies: readonly FilePolicy[],
): string {
  const caller = example.principal?.replace(/^spiffe:\/\//, '') ?? example.client ?? 'unknown';
  const lines = [`${count} × ${describeCall([example])} at ${example.workload}, from ${caller}`];
  const place = (id: string) => {
    const position = positionOf(id, policies);
    return position ? out.cyan(formatPosition(position)) : id;
  };
  if (decidedBy !== undefined) lines.push(`    refused by ${place(decidedBy)}`);
  else if (!nearest) lines.push('    no rule takes any call');
  else {
    const failed = nearest.conditions.filter(({ holds }) => holds === 'no');
    for (const { path, wanted, found } of failed)
      lines.push(
        `    wants ${wanted}; the call has ${found}  ${place(originId({ ...nearest.origin, path }))}`,
      );
  }
  return `${lines.join('\n')}\n`;
}

function dataOf(found: PolicyCheck, policies: readonly FilePolicy[]): Record<string, unknown> {
  return {
    judged: found.judged,
    refused: found.refused,
    undecided: found.undecided,
    refusals: found.refusals.map(({ count, example, decidedBy, nearest }) => ({
      count,
      ...(decidedBy === undefined ? {} : { decidedBy, position: positionOf(decidedBy, policies) }),
      ...(nearest
        ? {
            nearest: originId(nearest.origin),
            conditions: nearest.conditions.map((condition) => ({
              ...condition,
              position: positionOf(originId({ ...nearest.origin, path: condition.path }), policies),
            })),
          }
        : {}),
      example: { ...example, start: new Date(example.start).toISOString() },
    })),
  };
}
