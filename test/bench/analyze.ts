// What `ostria analyze` costs from files: `node test/bench/analyze.ts [--services 1000]`. Prints JSON.
import { analyze } from '../../src/analyze/analyze.ts';
import { analyzers } from '../../src/analyze/index.ts';
import { createBuiltInRegistry } from '../../src/config/kinds/built-in-kinds.ts';
import { parseYamlDocuments } from '../../src/config/yaml-documents.ts';
import { createAdmitObject } from '../../src/control-plane/admit-object.ts';
import { cpuMs, option } from './measure.ts';

const services = option('services', 1000);

/** A service with two pods, and an object of each kind that people write for it. */
function serviceYaml(index: number): string {
  const name = `svc-${index}`;
  const labels = `{app: ${name}, version: v1}`;
  const pod = (n: number) => `apiVersion: v1
kind: Pod
metadata: {name: ${name}-${n}, labels: ${labels}, annotations: {sidecar.istio.io/status: "{}"}}
spec: {containers: [{name: app, image: app}, {name: istio-proxy, image: proxy}]}
`;
  return [
    `apiVersion: v1\nkind: Service\nmetadata: {name: ${name}}\nspec: {selector: {app: ${name}}, ports: [{name: http, port: 9080}]}\n`,
    pod(0),
    pod(1),
    `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ${name}}
spec:
  hosts: [${name}]
  http:
  - match: [{uri: {prefix: /a}}]
    route: [{destination: {host: ${name}, subset: v1}}]
  - route: [{destination: {host: ${name}, subset: v1}, weight: 90}, {destination: {host: svc-${(index + 1) % services}}, weight: 10}]
`,
    `apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: ${name}}\nspec: {host: ${name}, subsets: [{name: v1, labels: {version: v1}}]}\n`,
    `apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: ${name}}\nspec: {selector: {matchLabels: {app: ${name}}}, rules: [{to: [{operation: {methods: [GET]}}]}]}\n`,
  ].join('---\n');
}

const text = Array.from({ length: services }, (_, index) => serviceYaml(index)).join('---\n');
const admit = createAdmitObject(createBuiltInRegistry());
const start = { cpu: cpuMs(), wall: performance.now() };
const { objects } = parseYamlDocuments(text, 'mesh.yaml');
const read = { cpu: cpuMs(), wall: performance.now() };
const messages = analyze(objects, {
  analyzers: analyzers.filter(({ byDefault }) => byDefault !== false),
  judge: (object) => admit(object).issues,
  now: Date.now(),
});
const end = { cpu: cpuMs(), wall: performance.now() };

console.log(
  JSON.stringify({
    bench: 'analyze',
    services,
    objects: objects.length,
    messages: messages.length,
    readCpuSeconds: (read.cpu - start.cpu) / 1000,
    analyzeCpuSeconds: (end.cpu - read.cpu) / 1000,
    cpuSeconds: (end.cpu - start.cpu) / 1000,
    wallSeconds: (end.wall - start.wall) / 1000,
    residentMiB: Math.round(process.memoryUsage().rss / 1024 / 1024),
  }),
);
