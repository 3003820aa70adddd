import type { Promises } from './recipe.ts';

const call = (url: string, expect: object) => ({ from: 'productpage-v1', request: `GET ${url}`, expect });
const payments = 'http://api.payments.example/charge';

/** docs/guides/external-services.md */
export const externalServices: readonly Promises[] = [
  {
    title: 'Hosts that nobody declared',
    tests: [call('http://nowhere.example/', { fails: true, status: 502 })],
  },
  {
    title: 'Declare a host',
    tests: [
      call(payments, { goesTo: 'api.payments.example:80', timeout: '5s' }),
      call('https://api.payments.example/', { goesTo: 'api.payments.example:443' }),
    ],
  },
  {
    title: 'Wildcards',
    tests: [call('http://en.wikipedia.example/', { goesTo: 'en.wikipedia.example' })],
  },
  {
    title: 'Speak plain HTTP, and let the sidecar speak TLS',
    tests: [call(payments, { goesTo: 'api.payments.example:443' })],
  },
  {
    title: 'Through an egress gateway',
    mesh: `
gateways: { istio-egressgateway: { ports: ["80"] } }
services: { productpage-v1: { service: productpage, ports: [9080], command: serve } }
`,
    tests: [call(payments, { goesTo: 'api.payments.example:80' })],
  },
  {
    title: "Through a proxy of the company's",
    tests: [call('https://api.payments.example/', { goesTo: 'api.payments.example:443' })],
  },
];
