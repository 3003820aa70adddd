import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestApi, type TestApi } from '../../../test/support/api-server.ts';
import { type Cli, openCli } from '../../../test/support/cli.ts';

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

const ostria = (args: readonly string[]) => cli.run(args);

const service = `apiVersion: v1
kind: Service
metadata: { name: cart }
spec: { ports: [{ port: 80 }] }
`;
const route = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: cart }
spec:
  hosts: [cart]
  http:
    - route:
        - destination: { host: card }
`;

test('files alone: place, mend, thresholds, suppression, formats and exit codes', async () => {
  cli.write('shop.yaml', `${service}---\n${route}`);
  const { code, stdout, stderr } = await ostria(['analyze', 'shop.yaml']);
  expect({ code, stderr }).toEqual({ code: 3, stderr: '' });
  const [first, second] = stdout.split('\n');
  expect(first).toMatch(/^Info \[IST0118\] \(Service cart shop\.yaml:4:17\) port 80 has no name.*name it/);
  expect(second).toMatch(
    /^Error \[IST0101\] \(VirtualService cart shop\.yaml:13:26\) .*card\.default\.svc\.cluster\.local; create it/,
  );
  const quiet = await ostria([
    'analyze',
    'shop.yaml',
    '--suppress',
    'IST0101=VirtualService cart.*',
    '--output-threshold',
    'warning',
  ]);
  expect(quiet).toEqual({ code: 0, stdout: '', stderr: 'Nothing found in 2 objects.\n' });
  const json = await ostria(['analyze', 'shop.yaml', '-o', 'json', '--output-threshold', 'Error']);
  expect(JSON.parse(json.stdout)).toEqual([
    expect.objectContaining({
      level: 'Error',
      code: 'IST0101',
      name: 'ReferencedResourceNotFound',
      resource: 'VirtualService cart',
      path: 'spec.http[0].route[0].destination.host',
      position: { file: 'shop.yaml', line: 13, column: 26 },
    }),
  ]);
  const strict = ['--analyzer', 'service.PortNameAnalyzer', '--failure-threshold', 'Info'];
  expect((await ostria(['analyze', 'shop.yaml', ...strict])).code).toBe(3);
  expect((await ostria(['analyze', 'shop.yaml', ...strict.slice(0, 2)])).code).toBe(0);
  expect((await ostria(['analyze', 'shop.yaml', '--analyzer', 'none'])).code).toBe(2);
  expect((await ostria(['analyze', 'missing.yaml'])).code).toBe(4);
  expect((await ostria(['analyze', '--list-analyzers'])).stdout).toContain(
    'virtualservice.GatewayAnalyzer\n',
  );
});

test('the running mesh, and files as they would be in it', async () => {
  const connection = ['--kubeconfig', api.kubeconfig];
  cli.write('route.yaml', route);
  expect((await ostria(['apply', '-f', 'route.yaml', ...connection])).code).toBe(0);
  const live = await ostria(['analyze', ...connection]);
  expect(live.code).toBe(3);
  expect(live.stdout).toMatch(/^Error \[IST0101\] \(VirtualService default\/cart\) [^\n]*\n$/);

  cli.write('mended.yaml', `${service}---\n${route.replace('card', 'cart')}`);
  const mended = await ostria(['analyze', 'mended.yaml', '--use-kube', 'true', ...connection]);
  expect(mended.stdout).not.toContain('IST0101');
  expect(mended.code).toBe(0);
});

test('a mesh file stands for what it publishes and applies', async () => {
  const mesh = 'services: { cart: { command: node cart.js, ports: [80] } }\napply: [cart.yaml]\n';
  cli.write('mesh.yaml', mesh);
  cli.write('cart.yaml', route.replace('host: card', 'host: cart, subset: v2'));
  const { code, stdout, stderr } = await ostria(['analyze', 'mesh.yaml']);
  expect({ code, stderr }).toEqual({ code: 3, stderr: '' });
  expect(stdout).toMatch(
    /^Error \[IST0101\] \(VirtualService cart cart\.yaml:8:38\) .* has no subset v2 [^\n]*\n$/,
  );
  cli.write('mesh.yaml', `${mesh}gateway: {}\n`);
  const broken = await ostria(['analyze', 'mesh.yaml']);
  expect(broken.code).toBe(3);
  expect(broken.stderr).toMatch(/^mesh\.yaml:3:1: .*gateway/);
});
