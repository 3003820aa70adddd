import { expectationFields, placeFields } from '../../assertions/expectation.ts';

const typed = (fields: Readonly<Record<string, readonly string[]>>) =>
  Object.fromEntries(
    Object.entries(fields).map(([name, types]) => [name, { type: types.length === 1 ? types[0] : types }]),
  );

const text = { type: 'string' };
const place = { type: 'object', additionalProperties: false, properties: typed(placeFields) };
const expectation = {
  type: 'object',
  additionalProperties: false,
  minProperties: 1,
  properties: {
    ...typed(expectationFields),
    goesTo: { anyOf: [text, place, { type: 'array', items: { anyOf: [text, place] } }] },
    headers: { type: 'object', additionalProperties: { type: ['string', 'null'] } },
  },
};
const name = { name: text };
const asked = {
  ...name,
  from: { description: 'A workload, an IP address of one, or ingress.', ...text },
  request: { description: 'METHOD and URL, or the URL alone.', ...text },
  headers: { type: 'object', additionalProperties: { type: ['string', 'number', 'boolean'] } },
  claims: { description: 'Of the token that the request carries.', type: 'object' },
  as: { description: 'Identity that the caller proves instead of its own.', ...text },
  expect: expectation,
};
const claimed = {
  ...name,
  unreachable: { description: 'from WHO to SERVICE[.NAMESPACE][:PORT] [METHOD] [PATH]', ...text },
};
const config = {
  description: 'Files and directories of the mesh, relative to this file.',
  anyOf: [text, { type: 'array', items: text }],
};

/** For completion: the fields of both kinds of cases, as it is not known yet which one is being written. */
export const testCompletionSchema = {
  type: 'object',
  properties: {
    config,
    tests: { type: 'array', items: { type: 'object', properties: { ...asked, ...claimed } } },
  },
} as const;

/** The JSON schema of `*.mesh-test.yaml`. */
export const testFileSchema = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  title: 'Ostria mesh test',
  type: 'object',
  additionalProperties: false,
  required: ['tests'],
  properties: {
    config,
    tests: {
      type: 'array',
      items: {
        oneOf: [
          {
            type: 'object',
            additionalProperties: false,
            required: ['from', 'request', 'expect'],
            properties: asked,
          },
          { type: 'object', additionalProperties: false, required: ['unreachable'], properties: claimed },
        ],
      },
    },
  },
} as const;
