import { opensslCertificate } from '../../support/authority.ts';
import type { Promises } from './recipe.ts';

const shop = (url: string, expect: object) => ({ from: 'ingress', request: `GET ${url}`, expect });
const toPage = { goesTo: 'productpage-v1' };

/** The Secret that commands of the guide make. */
const shopCert = (directory: string, more: (certificate: string) => object = () => ({})) => {
  const { certificate, key } = opensslCertificate({
    directory,
    name: 'shop',
    ca: false,
    names: ['shop.example'],
  });
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'shop-cert', namespace: 'istio-system' },
    stringData: { 'tls.crt': certificate, 'tls.key': key, ...more(certificate) },
  };
};

/** docs/guides/gateways.md */
export const gateways: readonly Promises[] = [
  {
    title: 'HTTP',
    tests: [
      shop('http://shop.example/api/x', { goesTo: 'details-v1' }),
      shop('http://shop.example/productpage', toPage),
      shop('http://other.example/', { status: 404 }),
    ],
  },
  {
    title: 'HTTPS',
    objects: shopCert,
    tests: [
      shop('https://shop.example/health', toPage),
      shop('http://shop.example/health', { status: 301, redirect: 'https://shop.example:20443/health' }),
    ],
  },
  {
    title: 'Clients with certificates',
    objects: (directory) => shopCert(directory, (certificate) => ({ 'ca.crt': certificate })),
    tests: [shop('https://shop.example/', { fails: true })],
  },
  {
    title: 'TLS that ends at the application',
    mesh: 'services: { vault: { ports: ["8443/tls"], command: serve } }',
    tests: [
      { from: 'ingress', request: 'tls://vault.example:443', expect: { goesTo: 'vault' } },
      { from: 'ingress', request: 'tls://other.example:443', expect: { fails: true } },
    ],
  },
  {
    title: 'With the Gateway API',
    tests: [
      {
        from: 'edge-istio',
        request: 'GET http://shop.example:8081/api/reviews',
        expect: { goesTo: 'details-v1', path: '/reviews' },
      },
      { from: 'edge-istio', request: 'GET http://shop.example:8081/', expect: toPage },
    ],
  },
  { title: 'With an Ingress', tests: [shop('http://shop.example/productpage', toPage)] },
];
