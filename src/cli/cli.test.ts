import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { startTestApi, type TestApi } from '../../test/support/api-server.ts';
import { type Cli, openCli } from '../../test/support/cli.ts';
import { completions } from './commands/completion.ts';
import { createProgram } from './create-program.ts';

let api: TestApi;
let cli: Cli;
beforeAll(async () => {
  cli = await openCli();
  api = await startTestApi();
});
afterAll(async () => {
  await api?.close();
  cli?.close();
});

const ostria = (args: readonly string[], input?: string) => cli.run(args, input);
const withApi = (args: readonly string[], input?: string) =>
  cli.run([...args, '--kubeconfig', api.kubeconfig], input);
const write = (name: string, text: string): string => cli.write(name, text);

const virtualService = (name: string, weight = '100') => `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: ${name}
spec:
  hosts: [${name}]
  http:
    - route:
        - destination: { host: ${name} }
          weight: ${weight}
`;

describe('apply, get and delete', () => {
  test('create, leave alone, change, dry-run', async () => {
    const file = write('reviews.yaml', virtualService('reviews'));
    const created = await withApi(['apply', '-f', file]);
    expect(created).toEqual({
      code: 0,
      stdout: 'virtualservice.networking.istio.io/reviews created\n',
      stderr: '',
    });
    expect((await withApi(['apply', '-f', file])).stdout).toBe(
      'virtualservice.networking.istio.io/reviews unchanged\n',
    );
    write('reviews.yaml', virtualService('reviews', '50'));
    const dry = await withApi(['apply', '-f', file, '--dry-run']);
    expect(dry.stdout).toBe('virtualservice.networking.istio.io/reviews configured (dry run)\n');
    const live = await withApi(['get', 'vs', 'reviews', '-o', 'json']);
    expect(JSON.parse(live.stdout).spec.http[0].route[0].weight).toBe(100);
    expect((await withApi(['apply', '-f', file])).stdout).toContain('configured');
    expect((await withApi(['apply', '-f', file, '--dry-run'])).stdout).toContain('unchanged (dry run)');
  });

  test('all or nothing: everything that is refused is named at file and line, and the rest stays out', async () => {
    write('mixed/a.yaml', `${virtualService('good')}---\n${virtualService('bad', 'heavy')}`);
    write('mixed/b.yaml', virtualService('worse', '[1]'));
    const { code, stdout, stderr } = await withApi(['apply', '-f', 'mixed']);
    expect(code).toBe(3);
    expect(stdout).toBe('');
    expect(stderr).toMatch(/^error: mixed\/a\.yaml:21:11: VirtualService bad: .*weight/m);
    expect(stderr).toMatch(/^error: mixed\/b\.yaml:10:11: VirtualService worse: .*weight/m);
    expect(stderr).toContain('2 of 3 objects were refused; nothing was applied');
    expect((await withApi(['get', 'vs', 'good'])).code).toBe(4);
  });

  test('what comes into a namespace or of a kind of the same files is checked before either is there', async () => {
    const namespace = 'apiVersion: v1\nkind: Namespace\nmetadata: { name: fresh }\n';
    const definition = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: robots.example.com }
spec:
  group: example.com
  scope: Namespaced
  names: { kind: Robot, plural: robots }
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties: { spec: { type: object, properties: { arms: { type: integer } } } }
`;
    const robot = (arms: string) =>
      `apiVersion: example.com/v1\nkind: Robot\nmetadata: { name: r2, namespace: fresh }\nspec:\n  arms: ${arms}\n`;
    const inFresh = (weight: string) =>
      virtualService('inside', weight).replace('name: inside', 'name: inside\n  namespace: fresh');
    const set = (...parts: string[]) => withApi(['apply', '-f', '-'], parts.join('---\n'));

    const refused = await set(namespace, definition, robot('many'), inFresh('heavy'));
    expect(refused.code).toBe(3);
    expect(refused.stderr).toMatch(/^error: <standard input>:25:3: Robot r2: spec\.arms: .*integer/m);
    expect(refused.stderr).toMatch(/^error: <standard input>:37:11: VirtualService inside: .*weight/m);
    expect(refused.stderr).toContain('2 of 4 objects were refused; nothing was applied');
    expect((await withApi(['get', 'namespace', 'fresh'])).code).toBe(4);

    const applied = await set(robot('2'), inFresh('1'), definition, namespace);
    expect(applied).toMatchObject({ code: 0, stderr: '' });
    expect(applied.stdout.split('\n').filter((line) => line.endsWith('created'))).toHaveLength(4);
    expect((await set(robot('2'))).stdout).toBe('robot.example.com/r2 unchanged\n');
    const nowhere = await set(robot('2').replace('fresh', 'nowhere'));
    expect(nowhere.stderr).toMatch(/input>:3:23: Robot r2: there is no namespace nowhere; create it first/);
  });

  test('a file that is not YAML changes nothing', async () => {
    write('broken.yaml', `${virtualService('never')}---\nkind: [\n`);
    const { code, stderr } = await withApi(['apply', '-f', 'broken.yaml']);
    expect(code).toBe(3);
    expect(stderr).toMatch(/broken\.yaml:1[34]:\d+/);
    expect(stderr).toContain('nothing was applied');
    expect((await withApi(['get', 'vs', 'never'])).code).toBe(4);
  });

  test('many at once: said in the order of the file, and one name twice', async () => {
    const names = [...Array.from({ length: 40 }, (_, i) => `many-${i}`), 'many-39'];
    const { stdout } = await withApi(
      ['apply', '-f', '-'],
      names.map((name) => virtualService(name)).join('---\n'),
    );
    expect(stdout.trim().split('\n')).toEqual(
      names.map(
        (name, i) => `virtualservice.networking.istio.io/${name} ${i < 40 ? 'created' : 'unchanged'}`,
      ),
    );
  });

  test('standard input, unknown kinds, absent files', async () => {
    expect((await withApi(['apply', '-f', '-'], virtualService('piped'))).stdout).toContain('piped created');
    const unknown = await withApi(
      ['apply', '-f', '-'],
      'apiVersion: a/v1\nkind: Nothing\nmetadata: {name: x}\n',
    );
    expect(unknown.stderr).toContain('<standard input>:2:1: the API server has no kind Nothing of a/v1');
    expect((await withApi(['apply', '-f', 'absent.yaml'])).code).toBe(4);
    expect((await withApi(['apply', '-f', 'https://example.com/a.yaml'])).stderr).toContain(
      'reads files, not URLs',
    );
  });

  test('tables, names, namespaces, unknown types', async () => {
    const table = await withApi(['get', 'virtualservices']);
    expect(table.stdout).toMatch(/^NAME\s+GATEWAYS\s+HOSTS\s+AGE\n/);
    expect((await withApi(['get', 'vs', '-A'])).stdout).toMatch(/^NAMESPACE\s+NAME/);
    expect((await withApi(['get', 'vs/reviews', '-o', 'name'])).stdout).toBe(
      'virtualservice.networking.istio.io/reviews\n',
    );
    expect((await withApi(['get', 'vs', '-n', 'kube-system'])).stderr).toContain(
      'No virtualservices found in namespace kube-system.',
    );
    const unknown = await withApi(['get', 'virtualservic']);
    expect(unknown.code).toBe(2);
    expect(unknown.stderr).toContain('did you mean virtualservices?');
    expect((await withApi(['get', 'api-resources'])).stdout).toMatch(
      /destinationrules\s+dr\s+networking.istio.io\/v1\s+true/,
    );
    expect((await withApi(['get', 'vs', '-o', 'xml'])).code).toBe(2);
  });

  test('watch goes on with what changes', async () => {
    const child = spawn(process.execPath, [cli.program, 'get', 'vs', '-w', '--kubeconfig', api.kubeconfig], {
      cwd: cli.directory,
    });
    let text = '';
    child.stdout.on('data', (chunk) => {
      text += chunk;
    });
    try {
      await vi.waitFor(() => expect(text).toContain('reviews'), { timeout: 30_000 });
      await withApi(['apply', '-f', '-'], virtualService('late'));
      await vi.waitFor(() => expect(text).toContain('late'), { timeout: 30_000 });
    } finally {
      child.kill('SIGTERM');
    }
    expect(await new Promise((resolve) => child.once('exit', resolve))).toBe(0);
  });

  test('delete by name, by file, and what is not there', async () => {
    const gone = await withApi(['delete', 'vs/piped', 'virtualservice/late']);
    expect(gone.stdout).toBe(
      'virtualservice.networking.istio.io "piped" deleted\nvirtualservice.networking.istio.io "late" deleted\n',
    );
    const again = await withApi(['delete', 'vs', 'piped']);
    expect(again.code).toBe(4);
    expect(again.stderr).toContain('not found');
    expect((await withApi(['delete', 'vs', 'piped', '--ignore-not-found'])).code).toBe(0);
    expect((await withApi(['delete', '-f', 'reviews.yaml'])).stdout).toContain('"reviews" deleted');
    expect((await withApi(['delete', 'vs'])).code).toBe(2);
    expect((await withApi(['delete', 'vs', '--all'])).stdout).toContain('"many-0" deleted');
  });
});

describe('mistakes', () => {
  test.concurrent.each([
    [['nosuch'], 2, "unknown command 'nosuch'"],
    [['get'], 2, "missing required argument 'types'"],
    [['up', '--port-base', 'x'], 2, 'it must be a whole number'],
    [['up'], 3, 'mesh.yaml:1:1: does not exist; give the path of a mesh file with -f'],
    [['ps'], 4, 'there is no mesh here; start one with ostria up'],
    [['doctor', '--mesh', 'x'], 4, 'there is no mesh named x'],
    [['down', '--mesh', 'x'], 4, 'there is no mesh named x'],
    [['get', 'vs'], 7, 'no mesh is running here and there is no kubeconfig'],
    [['get', 'vs', '--kubeconfig', '/nowhere'], 1, 'kubeconfig /nowhere'],
    [['proxy-config', 'cluster'], 2, 'which workload?'],
    [['completion', 'tcsh'], 2, 'it can be bash, zsh, fish'],
  ])('%j', async (args, code, message) => {
    const outcome = await ostria(args);
    expect(outcome.stderr).toContain(message);
    expect(outcome.code).toBe(code);
    expect(outcome.stdout).toBe('');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: no colours where there is no terminal
    expect(outcome.stderr).not.toMatch(/\u001b\[/);
  });

  test('a server that is not there', async () => {
    const config = write(
      'kubeconfig',
      JSON.stringify({
        'current-context': 'c',
        contexts: [{ name: 'c', context: { cluster: 'c' } }],
        clusters: [{ name: 'c', cluster: { server: 'https://127.0.0.1:1' } }],
      }),
    );
    const { code, stderr } = await ostria(['get', 'vs', '--kubeconfig', config]);
    expect(code).toBe(7);
    expect(stderr).toContain('the API server https://127.0.0.1:1');
  });
});

describe('help', () => {
  const program = createProgram();

  test('the exit codes are documented', async () => {
    expect((await ostria(['help', 'exit-codes'])).stdout).toContain('unreachable: no running mesh');
    expect((await ostria(['help', 'up'])).stdout).toContain('--port-base');
    expect((await ostria(['help', 'nosuch'])).code).toBe(2);
  });

  test('completion knows commands, subcommands and flags', () => {
    expect(completions(program, ['prox'])).toEqual(['proxy-status', 'proxy-config']);
    expect(completions(program, ['proxy-config', 'li'])).toEqual(['listener']);
    expect(completions(program, ['up', '--por'])).toEqual(['--port-base']);
    expect(completions(program, [''])).not.toContain('supervisor');
  });

  test('completion knows workloads of this machine, kinds, and forms of output', () => {
    const home = mkdtempSync(join(tmpdir(), 'ostria-completion-'));
    vi.stubEnv('OSTRIA_HOME', home);
    try {
      for (const name of ['web-0', 'web-1', 'api-0'])
        mkdirSync(join(home, 'shop', 'workloads', name), { recursive: true });
      writeFileSync(join(home, 'shop', 'state.json'), '{"schemaVersion":1}');
      expect(completions(program, ['describe', ''])).toEqual(['service', 'workload', 'pod']);
      expect(completions(program, ['describe', 'pod', 'w'])).toEqual(['web-0', 'web-1']);
      expect(completions(program, ['describe', 'service', ''])).toEqual([]);
      expect(completions(program, ['pc', 'cluster', '--mesh', 'shop', 'a'])).toEqual(['api-0']);
      expect(completions(program, ['pc', 'cluster', 'api-0', ''])).toEqual([]);
      expect(completions(program, ['proxy-status', '-o', ''])).toEqual(['json', 'yaml']);
      expect(completions(program, ['ps', '--mesh', ''])).toEqual(['shop']);
      expect(completions(program, ['logs', 'con'])).toEqual(['control-plane']);
    } finally {
      vi.unstubAllEnvs();
      rmSync(home, { recursive: true, force: true });
    }
  });

  test('there are scripts for the shells', async () => {
    const scripts = await Promise.all(['bash', 'zsh', 'fish'].map((shell) => ostria(['completion', shell])));
    for (const { code, stdout } of scripts) {
      expect(code).toBe(0);
      expect(stdout).toContain('ostria __complete');
    }
  });

  test('bash completes by its script', () => {
    const script = `ostria() { '${process.execPath}' '${cli.program}' "$@"; }
      source <(ostria completion bash)
      COMP_WORDS=(ostria proxy-config li) COMP_CWORD=2; _ostria; echo "\${COMPREPLY[@]}"
      COMP_WORDS=(ostria up --det) COMP_CWORD=2; _ostria; echo "\${COMPREPLY[@]}"`;
    const { stdout } = spawnSync('bash', ['-c', script], { encoding: 'utf8' });
    expect(stdout).toBe('listener\n--detach\n');
  });
});
