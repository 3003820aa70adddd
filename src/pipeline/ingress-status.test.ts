import { expect, test } from 'vitest';
import { worldOfYaml } from '../../test/support/mesh-world.ts';
import { gateway } from '../features/traffic/gateway/feature.ts';
import { defaultMeshConfig } from '../registry/mesh-config.ts';
import { rebuild } from '../snapshot/rebuild.ts';
import { testProxy } from '../snapshot/testing.ts';
import { createStatuses, decodeStatus, statusesType } from './statuses.ts';

const statuses = createStatuses([gateway]);

function statusOf(name: string, ...objects: string[]) {
  const found = rebuild(worldOfYaml(objects), defaultMeshConfig, testProxy('nobody'), [statuses]);
  const resource = found.get(statusesType)?.get(`networking.k8s.io/Ingress|default/${name}`);
  return resource && decodeStatus(resource);
}

const ingress = (spec: string) => `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop}
spec: ${spec}
`;
const service = `
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.1.0.1, selector: {app: web}, ports: [{name: http, port: 80}]}
`;
const gateways = `
apiVersion: v1
kind: Service
metadata: {name: istio-ingressgateway, namespace: istio-system}
spec: {clusterIP: 10.1.0.2, type: LoadBalancer, ports: [{name: http, port: 80}]}
status: {loadBalancer: {ingress: [{ip: 192.0.2.1}]}}
`;
const rules = (backend: string) => `[{http: {paths: [{path: /, pathType: Prefix, backend: ${backend}}]}}]`;

test('an Ingress that leads somewhere has the addresses of the gateways', () => {
  const web = rules('{service: {name: web, port: {name: http}}}');
  expect(
    statusOf('shop', ingress(`{ingressClassName: istio, rules: ${web}}`), service, gateways),
  ).toMatchObject({
    fields: { loadBalancer: { ingress: [{ ip: '192.0.2.1' }] } },
    conditions: [{ type: 'Accepted', status: 'True' }],
  });
});

test('what leads nowhere is told; an Ingress of another class is not ours to judge', () => {
  const gone = rules('{service: {name: gone, port: {number: 80}}}');
  const spec = `{ingressClassName: istio, tls: [{hosts: [a.example.com], secretName: none}], rules: ${gone}}`;
  const [condition] = statusOf('shop', ingress(spec), service)?.conditions ?? [];
  expect(condition).toMatchObject({ status: 'False', reason: 'CredentialNotFound' });
  expect(condition?.message).toMatch(/istio-system\/none.*no service gone\.default\.svc\.cluster\.local/s);
  expect(statusOf('shop', ingress(`{ingressClassName: nginx, rules: ${gone}}`))).toBeUndefined();
});
