// What `ostria analyze` costs from files: `node test/bench/analyze.ts [--services 1000]`. Prints JSON.
import { analyze } from '../../src/analyze/analyze.ts';
import { analyzers } from '../../src/analyze/index.ts';
import { createBuiltInRegistry } from '../../src/config/kinds/built-in-kinds.ts';
import { parseYamlDocuments } from '../../src/config/yaml-documents.ts';
import { createAdmitObject } from '../../src/control-plane/admit-object.ts';
import { cpuMs, option } from './measure.ts';
import { networkingYaml, serviceYaml } from './mesh-yaml.ts';

const services = option('services', 1000);

/** A service with two pods, and an object of each kind that people write for it. */
function partYaml(index: number): string {
  const name = `svc-${index}`;
  const pod = (n: number) => `apiVersion: v1
kind: Pod
metadata: {name: ${name}-${n}, labels: {app: ${name}, version: v1}, annotations: {sidecar.istio.io/status: "{}"}}
spec: {containers: [{name: app, image: app}, {name: istio-proxy, image: proxy}]}
`;
  return [serviceYaml(name), pod(0), pod(1), ...networkingYaml(name, `svc-${(index + 1) % services}`)].join(
    '---\n',
  );
}

const text = Array.from({ length: services }, (_, index) => partYaml(index)).join('---\n');
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
