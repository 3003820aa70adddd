import { portProtocols } from './port-protocols.ts';

/** The JSON schema of `mesh.yaml`, for editors. The reader in parse-mesh-file.ts says more than a schema can. */
const text = { type: ['string', 'number', 'boolean'] };
const label = { type: 'string', pattern: '^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$' };
const range = (minimum: number, maximum: number) => ({ type: 'integer', minimum, maximum });
const portNumber = range(1, 65_535);
const lines = { anyOf: [{ type: 'string' }, { type: 'array', items: text }] };
const mapping = {
  anyOf: [
    { type: 'object', additionalProperties: { type: ['string', 'number', 'boolean', 'null'] } },
    { type: 'array', items: { type: 'string' } },
  ],
};
const extensions = { '^x-': true };
const described = (description: string, schema: object) => ({ description, ...schema });

const closed = (properties: object, more: object = {}) => ({
  type: 'object',
  additionalProperties: false,
  patternProperties: extensions,
  properties,
  ...more,
});

const protocol = { enum: portProtocols };

const port = {
  anyOf: [
    portNumber,
    { type: 'string', pattern: '^\\d+(:\\d+)?(/[a-z0-9-]+)?$' },
    closed({
      name: label,
      target: portNumber,
      published: portNumber,
      port: portNumber,
      protocol,
      app_protocol: protocol,
    }),
  ],
};

const dependencies = {
  anyOf: [
    { type: 'array', items: { type: 'string' } },
    {
      type: 'object',
      additionalProperties: {
        anyOf: [
          { type: 'null' },
          {
            type: 'object',
            additionalProperties: false,
            properties: {
              condition: { enum: ['service_started', 'service_healthy', 'service_completed_successfully'] },
              restart: true,
              required: true,
            },
          },
        ],
      },
    },
  ],
};

const healthcheck = closed({
  test: described('[HTTP, /path], [CMD, program, …], [CMD-SHELL, line] or [NONE]', lines),
  interval: described('Default 2s.', { type: 'string' }),
  timeout: described('Default 5s.', { type: 'string' }),
  start_period: described('Failures in this time do not count.', { type: 'string' }),
  retries: range(1, 1000),
  disable: { type: 'boolean' },
});

const service = closed(
  {
    command: described('The program and its arguments, as a list or as one line.', lines),
    environment: described('Variables; one without a value is taken over from yours.', mapping),
    env_file: described('Files of variables.', lines),
    working_dir: described('Default: the directory of the file.', { type: 'string' }),
    ports: described('9080, "9080:3000" (the program insists on 3000) or "9080/grpc".', {
      type: 'array',
      items: port,
    }),
    replicas: described('Default 1.', range(0, 100)),
    scale: described('The same as replicas.', range(0, 100)),
    deploy: closed({ replicas: range(0, 100) }),
    depends_on: described('What must be there before.', dependencies),
    healthcheck: described('Absent: ready when the port accepts connections.', healthcheck),
    restart: described('Default always.', {
      type: 'string',
      pattern: '^(no|always|unless-stopped|on-failure(:\\d+)?)$',
    }),
    profiles: described('Started only with up --profile NAME.', { type: 'array', items: { type: 'string' } }),
    service: described('The Service that it is part of. Default: its name.', label),
    version: described('Label version. Default v1.', text),
    namespace: described('Default default.', label),
    labels: described('Labels of its pods.', mapping),
    serviceAccount: described('Its identity. Default: the service’s name.', label),
  },
  { required: ['command'] },
);

const gateway = {
  anyOf: [
    { type: 'null' },
    closed({
      ports: described('80 (on an allocated port here) or "18080:80".', {
        type: 'array',
        items: { anyOf: [portNumber, { type: 'string', pattern: '^(\\d+:)?\\d+$' }] },
      }),
      labels: mapping,
      namespace: described('Default istio-system.', label),
      serviceAccount: label,
    }),
  ],
};

export const meshFileSchema = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  title: 'Ostria mesh file',
  ...closed(
    {
      name: described('Name of the mesh. Default: the directory’s.', label),
      services: described('What to run, by name.', { type: 'object', additionalProperties: service }),
      gateways: described('Envoys at the edge, by name.', { type: 'object', additionalProperties: gateway }),
      apply: described('Files or directories of configuration, applied before the workloads start.', lines),
      allowFetch: described('Ranges that keys of tokens may be fetched from although they are not public.', {
        type: 'array',
        items: { type: 'string' },
      }),
      ipFamilies: { type: 'array', minItems: 1, uniqueItems: true, items: { enum: ['IPv4', 'IPv6'] } },
      explainRefusals: described(
        'Refusals tell callers inside the mesh who decided, in the header x-ostria-decided-by.',
        { type: 'boolean', default: true },
      ),
      history: described(
        'How much of the past ostria history, diff and explain --at know. Default 64 MiB, 7 days, 100,000 changes.',
        closed({
          maxMiB: described('0: nothing is kept.', { type: 'integer', minimum: 0, maximum: 1_048_576 }),
          maxDays: { type: 'integer', minimum: 1, maximum: 36_500 },
          maxChanges: { type: 'integer', minimum: 1, maximum: 1_000_000_000 },
        }),
      ),
      lazy: described('Sidecars load what they need on the first request.', { type: 'boolean' }),
      trustDomain: described('Trust domain of the identities. Default cluster.local.', { type: 'string' }),
      version: true,
    },
    { required: ['services'] },
  ),
};
