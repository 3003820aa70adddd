import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { kubeconfigPaths, readKubeconfig } from './kubeconfig.ts';

let scratch: string;
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'ostria-kubeconfig-'));
  writeFileSync(join(scratch, 'ca.pem'), 'CA FILE');
  writeFileSync(join(scratch, 'token'), 'from-file\n');
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const base64 = (text: string) => Buffer.from(text).toString('base64');

function config(change: (text: string) => string = (text) => text): string {
  const path = join(scratch, 'config');
  writeFileSync(
    path,
    change(`
current-context: a
contexts:
- { name: a, context: { cluster: one, user: cert, namespace: shop } }
- { name: b, context: { cluster: two, user: tokenized } }
- { name: c, context: { cluster: two, user: plugin } }
clusters:
- { name: one, cluster: { server: 'https://one:6443/', certificate-authority-data: ${base64('CA')} } }
- { name: two, cluster: { server: 'https://two', certificate-authority: ca.pem, insecure-skip-tls-verify: true } }
users:
- { name: cert, user: { client-certificate-data: ${base64('CERT')}, client-key-data: ${base64('KEY')} } }
- { name: tokenized, user: { tokenFile: token } }
- { name: plugin, user: { exec: { command: x } } }
`),
  );
  return path;
}

test('the current context, and another', () => {
  const path = config();
  expect(readKubeconfig(path)).toEqual({
    source: `${path}, context a`,
    server: 'https://one:6443',
    ca: 'CA',
    certificate: 'CERT',
    key: 'KEY',
    insecure: false,
    namespace: 'shop',
  });
  expect(readKubeconfig(path, 'b')).toMatchObject({
    server: 'https://two',
    ca: 'CA FILE',
    token: 'from-file',
    insecure: true,
    namespace: 'default',
  });
});

test('what is wrong is named', () => {
  expect(() => readKubeconfig(config(), 'x')).toThrow(/has no context named "x"/);
  expect(() => readKubeconfig(config(), 'c')).toThrow(/authenticates with a plugin/);
  expect(() => readKubeconfig(config((text) => text.replace('current-context: a', '')))).toThrow(
    /no current-context/,
  );
  expect(() =>
    readKubeconfig(config((text) => text.replace('name: one, cluster', 'name: other, cluster'))),
  ).toThrow(/no cluster named "one"/);
  expect(() => readKubeconfig(config(() => '- a list'))).toThrow(/is not a mapping/);
  expect(() => readKubeconfig(join(scratch, 'absent'))).toThrow(/absent/);
});

test('where kubectl looks', () => {
  expect(kubeconfigPaths({ KUBECONFIG: '/a:/b', HOME: '/h' })).toEqual(['/a', '/b']);
  expect(kubeconfigPaths({ HOME: '/h' })).toEqual(['/h/.kube/config']);
});
