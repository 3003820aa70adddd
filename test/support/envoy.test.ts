import { afterEach, expect, test } from 'vitest';
import { startEnvoy, type TestEnvoy } from './envoy.ts';
import { freePort } from './ports.ts';

let envoy: TestEnvoy | undefined;
afterEach(() => envoy?.stop());

test('starts a real Envoy 1.40 that answers, and ends it by id', async () => {
  const port = await freePort();
  envoy = await startEnvoy({
    until: 'live',
    bootstrap: {
      static_resources: {
        listeners: [
          {
            name: 'direct',
            address: { socket_address: { address: '127.0.0.1', port_value: port } },
            filter_chains: [
              {
                filters: [
                  {
                    name: 'envoy.filters.network.direct_response',
                    typed_config: {
                      '@type':
                        'type.googleapis.com/envoy.extensions.filters.network.direct_response.v3.Config',
                      response: {
                        inline_string: 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok',
                      },
                    },
                  },
                ],
              },
            ],
          },
        ],
      },
    },
  });
  expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe('ok');
  expect((await envoy.admin('/server_info')).body).toContain('/1.40.0/');
  expect(await envoy.stat('listener_manager.listener_added')).toBe(1);
  await envoy.stop();
  expect(envoy.running()).toBe(false);
});
