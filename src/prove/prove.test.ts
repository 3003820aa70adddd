import { describe, expect, it } from 'vitest';
import { parseYamlDocuments } from '../config/yaml-documents.ts';
import { createModel } from '../model/model.ts';
import { roots } from '../pipeline/roots.ts';
import { parseClaim } from './claim.ts';
import { prove } from './prove.ts';

const mesh = `
apiVersion: v1
kind: Service
metadata: { name: page, namespace: shop }
spec: { selector: { app: page }, ports: [{ name: http, port: 9080 }] }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: page, namespace: shop }
spec: { selector: { matchLabels: { app: page } }, template: { metadata: { labels: { app: page } }, spec: { containers: [{ name: app }] } } }
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: front, namespace: shop }
spec: { selector: { istio: ingressgateway }, servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: ['*'] }] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: page, namespace: shop }
spec:
  hosts: ['*']
  gateways: [front]
  http: [{ match: [{ uri: { exact: /login } }], route: [{ destination: { host: page, port: { number: 9080 } } }] }]
`;

describe('prove', () => {
  it('finds the way of clients outside by the hosts and ports of the gateway, not those of the service', () => {
    const model = createModel(parseYamlDocuments(mesh, 'mesh.yaml').objects, { roots: roots.collections });
    const claim = parseClaim('from outside to page.shop POST /login');
    const result = claim.ok ? prove(model, claim.value) : undefined;
    expect(result).toMatchObject({
      ok: true,
      proof: {
        status: 'refuted',
        counterExample: { outside: true, method: 'POST', url: 'http://any.example:8080/login' },
      },
    });
  });
});
