// @ts-check
import { builtinModules } from 'node:module';
import { join } from 'node:path';

// The import rules of the tree (docs/architecture.md). `scripts/tasks/import-rules.test.ts` breaks each of them in a fixture
// and expects it to fail.

/** A folder of src/ may import the folders before it in this line, and itself. */
const line = [
  ['kit', 'gen'],
  ['config'],
  ['registry'],
  ['snapshot'],
  ['plan'],
  ['envoy', 'grpc'],
  ['features'],
  ['pipeline'],
  ['simulate'],
  ['model'],
  ['explain'],
  ['request-space'],
  ['impact', 'prove'],
  ['assertions'],
  ['observe'],
  ['analyze'],
  ['editor'],
  ['ca', 'xds', 'injection', 'sdk', 'agent'],
  ['control-plane', 'cli'],
  ['testing'],
];

/** From the registry to the editor nothing reaches Node: the same code runs in the browser. */
const pure = [
  ...['registry', 'snapshot', 'plan', 'envoy', 'grpc', 'features', 'pipeline'],
  ...['simulate', 'model', 'explain', 'request-space', 'impact', 'prove', 'assertions'],
  ...['observe', 'analyze', 'editor'],
];

/** @param {string[]} folders */
const inFolders = (folders) => `^src/(${folders.join('|')})/`;

/** @type {import('dependency-cruiser').IForbiddenRuleType[]} */
const order = line.slice(0, -1).map((folders, index) => ({
  name: `order-${folders.join('-')}`,
  comment: `${folders.join(', ')} may import only what is named before it`,
  severity: 'error',
  from: { path: inFolders(folders) },
  to: { path: inFolders(line.slice(index + 1).flat()) },
}));

/** @type {import('dependency-cruiser').IConfiguration} */
const configuration = {
  forbidden: [
    ...order,
    {
      name: 'folder-has-a-place',
      comment: 'a folder of src/ that the line above does not name would be bound by no rule',
      severity: 'error',
      from: { path: '^src/', pathNot: inFolders(line.flat()) },
      to: {},
    },
    {
      name: 'envoy-and-grpc-apart',
      comment: 'the two emitters read the plan, never each other',
      severity: 'error',
      from: { path: '^src/(envoy|grpc)/' },
      to: { path: '^src/(envoy|grpc)/', pathNot: '^src/$1/' },
    },
    {
      name: 'pure-reaches-no-node',
      comment: 'from registry to editor nothing reaches a node: module, not even through another',
      severity: 'error',
      from: { path: inFolders(pure), pathNot: '\\.test\\.ts$' },
      to: {
        path: `^(node:)?(${builtinModules.map((name) => name.replace(/^node:/, '')).join('|')})$`,
        reachable: true,
      },
    },
    {
      name: 'edges-without-the-compile',
      comment: 'xds and agent never reach into plan, envoy or features',
      severity: 'error',
      from: { path: '^src/(xds|agent)/', pathNot: '\\.test\\.ts$' },
      to: { path: '^src/(plan|envoy|grpc|features|pipeline)/' },
    },
    {
      name: 'agent-sees-ca-client-only',
      comment: 'of the certificate authority the agent sees the client',
      severity: 'error',
      from: { path: '^src/agent/', pathNot: '\\.test\\.ts$' },
      to: { path: '^src/ca/', pathNot: '^src/ca/client(\\.|/)' },
    },
    {
      name: 'feature-sees-sibling-schema-only',
      comment: "a feature imports a sibling's schema.ts and nothing else of it",
      severity: 'error',
      from: { path: '^src/features/([^/]+)/([^/]+)/' },
      to: { path: '^src/features/[^/]+/[^/]+/', pathNot: ['^src/features/$1/$2/', '/schema\\.ts$'] },
    },
    {
      name: 'samples-import-nothing-of-ours',
      severity: 'error',
      from: { path: '^samples/' },
      to: { path: '^(src|gen|dashboard|tools|scripts|test)/' },
    },
    {
      name: 'product-without-tests-or-tools',
      severity: 'error',
      from: { path: '^src/', pathNot: ['\\.test\\.ts$', '^src/.+/testing/'] },
      to: { path: '^(test|tools|scripts|samples)/|\\.test\\.ts$' },
    },
    {
      name: 'http-through-kit',
      comment: 'to import names of node:http costs a process 16 MB: values come from kit/node-http.ts',
      severity: 'error',
      from: { path: '^src/', pathNot: '\\.test\\.ts$' },
      to: { path: '^(node:)?http$', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'no-cycles',
      comment: 'types may refer to each other; code may not',
      severity: 'error',
      from: { path: '^src/' },
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'no-unresolvable',
      severity: 'error',
      from: { path: '^(src|samples)/' },
      to: { couldNotResolve: true },
    },
    {
      name: 'no-development-dependencies',
      severity: 'error',
      from: { path: '^src/', pathNot: '\\.test\\.ts$|^src/[^/]+/testing/' },
      to: { dependencyTypes: ['npm-dev'] },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: join(import.meta.dirname, 'tsconfig.json') },
    doNotFollow: { path: ['node_modules', '^gen/'] },
    exclude: { path: ['/testdata/'] },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
  },
};

export default configuration;
