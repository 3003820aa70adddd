import type { ConfigObject } from '../../../src/config/object.ts';

/** Captured clients' proxies learn of original destinations by the PROXY protocol: nobody needs a network namespace to be redirected. */
export const captureFilter: ConfigObject = {
  apiVersion: 'networking.istio.io/v1alpha3',
  kind: 'EnvoyFilter',
  metadata: { name: 'capture', namespace: 'istio-system' },
  spec: {
    workloadSelector: { labels: { capture: 'kernel' } },
    configPatches: [
      {
        applyTo: 'LISTENER_FILTER',
        match: { context: 'SIDECAR_OUTBOUND', listener: { name: 'virtualOutbound' } },
        patch: {
          operation: 'ADD',
          value: {
            name: 'envoy.filters.listener.proxy_protocol',
            typed_config: {
              '@type':
                'type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol',
            },
          },
        },
      },
    ],
  },
};
