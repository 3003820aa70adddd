import { expect, test } from 'vitest';
import { parseYamlDocuments } from '../../config/yaml-documents.ts';
import { explain } from '../../explain/explain.ts';
import { createModel } from '../../model/model.ts';
import type { CallRecord } from '../../observe/call-record.ts';
import { roots } from '../../pipeline/roots.ts';
import { compare } from './live-compare.ts';

const mesh = (rules: string, action: string) => `
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec: {containers: [{name: app}]}
---
apiVersion: v1
kind: Pod
metadata: {name: orders, labels: {app: orders}}
spec: {containers: [{name: app}]}
---
apiVersion: v1
kind: Service
metadata: {name: orders}
spec: {selector: {app: orders}, ports: [{name: http, port: 80}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: only}
spec: {selector: {matchLabels: {app: orders}}, action: ${action}, rules: ${rules}}
`;

function policyOf(rules: string, action: string, matched: string) {
  const { objects } = parseYamlDocuments(mesh(rules, action), 'mesh.yaml');
  const answer = explain(createModel(objects, { roots: roots.collections }), {
    from: 'web',
    url: 'http://orders/',
  });
  if (!answer.ok) throw new Error(answer.error.message);
  const details = `rbac_access_denied_matched_policy[${matched}]`;
  const records = [{ details, status: 403 }] as unknown as CallRecord[];
  return compare(answer.explanation, { status: 403 }, records).find(({ what }) => what === 'policy');
}

const other = '[{to: [{operation: {methods: [HEAD]}}]}]';
const all = '[{}]';

test('that no ALLOW rule allows a call is predicted and seen in the same words', () => {
  const same = { predicted: 'no rule allows it', real: 'no rule allows it', agrees: true };
  expect(policyOf(other, 'ALLOW', 'none')).toMatchObject(same);
  expect(policyOf('[]', 'ALLOW', 'none')).toMatchObject(same);
});

test('a rule that refuses is compared with the rule that did', () => {
  const rule = 'AuthorizationPolicy default/only spec.rules[0]';
  expect(policyOf(all, 'DENY', 'ns[default]-policy[only]-rule[0]')).toMatchObject({
    predicted: rule,
    real: rule,
    agrees: true,
  });
  expect(policyOf(all, 'DENY', 'none')).toMatchObject({ predicted: rule, agrees: false });
  expect(policyOf(other, 'ALLOW', 'ns[default]-policy[only]-rule[0]')).toMatchObject({ agrees: false });
});
