import { expect, test } from 'vitest';
import { parseYamlDocuments } from '../config/yaml-documents.ts';
import { createModel } from '../model/model.ts';
import { roots } from '../pipeline/roots.ts';
import { ruleHover } from './route-hover.ts';

const text = `apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: shop}
spec: {ports: [{name: http, port: 9080}], selector: {app: reviews}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: shop}
spec:
  hosts: [reviews]
  http:
  - match: [{uri: {prefix: /v2}}]
    route: [{destination: {host: reviews}}]
  - route: [{destination: {host: reviews}}]
  - timeout: 1s
    route: [{destination: {host: reviews}}]
`;

test('routes are explained where the files hold no workload', () => {
  const objects = parseYamlDocuments(text, 'shop.yaml').objects.map(({ object }) => ({ object }));
  const model = createModel(objects, { roots: roots.collections });
  expect([...model.workloads.keys()]).toEqual([]);
  const hover = (index: number) => ruleHover(model, { namespace: 'shop', name: 'reviews', index });
  expect(hover(1)).toContain('Takes requests to reviews.shop.svc.cluster.local:9080');
  expect(hover(1)).toContain('Asked before it: rule 0');
  expect(hover(1)).toContain('As a sidecar of namespace shop would have it');
  expect(hover(2)).toContain('No request comes to this rule');
  expect(ruleHover(model, { namespace: 'shop', name: 'nope', index: 0 })).toBeUndefined();
});
