// The output that docs/guides/debugging.md shows is the program's own: `OSTRIA_WRITE_GUIDES=1` writes it anew.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Ostria, openOstria, root } from '../support/ostria.ts';

const guide = join(root, 'docs', 'guides', 'debugging.md');
const files = join(root, 'docs', 'guides', 'debugging');
const block = /```console\n\$ ostria ([^\n]*)\n([\s\S]*?)```/g;

let ostria: Ostria;
beforeAll(async () => {
  ostria = await openOstria();
});
afterAll(async () => {
  await ostria?.close();
});

/** What each command must say at least, whatever else is shown. */
const answers: readonly (readonly [text: string, answer: RegExp, code: number])[] = [
  [
    'subset-without-pods',
    /fails with 503: .*no pod of orders has the labels version=v3 .*v1 and v2[\s\S]*UH/,
    11,
  ],
  ['http://legacy/', /speaks mutual TLS, and legacy has no sidecar[\s\S]*UF/, 11],
  [
    '--from legacy',
    /takes mutual TLS only \(PeerAuthentication \S+\), and the connection is plaintext[\s\S]*UC/,
    11,
  ],
  [
    '/basket',
    /path prefix \/orders does not match \/basket {2}gateway.yaml:17[\s\S]*fails with 404[\s\S]*NR/,
    11,
  ],
  [
    '/export/1',
    /dry run: AuthorizationPolicy no-exports would refuse it[\s\S]*method is "POST" {2}policies.yaml:7[\s\S]*refused with 403[\s\S]*RBAC/,
    11,
  ],
  [
    '/slow',
    /VirtualService orders-retries takes[\s\S]*× VirtualService orders: [\s\S]*one alone decides for a host {2}two-virtual-services.yaml:5/,
    0,
  ],
  ['analyze shop.yaml mistakes', /IST0101.*mistakes.yaml:7.*sees no service order\.default/, 3],
  [
    '-f mistakes.yaml',
    /fails with 500: order\.default\.svc\.cluster\.local:80, subset v1 does not exist[\s\S]*NC/,
    11,
  ],
  ['http://order/ ', /\? GET http:\/\/order\/ .*is called order \(did you mean orders\?\)/, 13],
  ['/pay', /a POST that the destination has begun to act on may be sent again {2}retries.yaml:9/, 0],
  ['tcp://kafka', /mutual TLS[\s\S]*reaches kafka\.default/, 0],
  [
    'analyze shop.yaml rate-limit',
    /IST0151.*INSERT_BEFORE depends on which other EnvoyFilters came before it/,
    0,
  ],
  ['dead-patch', /orders-limit[\s\S]*✔[\s\S]*orders-tuning[\s\S]*✘ \[1\] MERGE CLUSTER/, 11],
  ['-f rate-limit.yaml', /rate-limit +allowed: 10 requests in 1 s/, 0],
];

test('every answer of the guide is what a user gets', async () => {
  const text = readFileSync(guide, 'utf8');
  const written: string[] = [];
  for (const [whole, command = '', shown = ''] of text.matchAll(block)) {
    const { stdout, stderr, code } = await ostria.run(command.split(' '), { cwd: files });
    const real = stdout + stderr;
    const expected = answers.find(([part]) => command.includes(part));
    expect(real, command).toMatch(expected?.[1] ?? /^$/);
    expect(code, command).toBe(expected?.[2]);
    if (process.env.OSTRIA_WRITE_GUIDES)
      written.push(whole, `\`\`\`console\n$ ostria ${command}\n${real}\`\`\``);
    else expect(real, command).toBe(shown);
  }
  let result = text;
  for (let at = 0; at < written.length; at += 2)
    result = result.replace(written[at] ?? '', () => written[at + 1] ?? '');
  if (written.length > 0) writeFileSync(guide, result);
  expect([...text.matchAll(block)]).toHaveLength(answers.length);
});
