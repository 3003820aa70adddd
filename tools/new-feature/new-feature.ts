import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

export interface NewFeature {
  /** Folder of folders under src/features: `traffic`, `security`, `telemetry`, `extensibility`. */
  readonly group: string;
  /** Kebab-case name of the capability. */
  readonly name: string;
}

const groups = ['traffic', 'security', 'telemetry', 'extensibility'];

/** Reads `traffic/header-limit`. A text says what is wrong with it. */
export function parseFeatureName(text: string | undefined): NewFeature | string {
  const [group = '', name = '', ...rest] = (text ?? '').split('/');
  if (rest.length > 0 || !groups.includes(group) || !/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(name))
    return `a feature is named GROUP/NAME, such as traffic/header-limit; GROUP is ${groups.join(', ')}, NAME is kebab-case`;
  return { group, name };
}

function camel(name: string): string {
  return name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
}

function pascal(name: string): string {
  const text = camel(name);
  return `${text[0]?.toUpperCase()}${text.slice(1)}`;
}

/** The files of a feature that decorates HTTP routes: complete, checked, and of no effect until a route asks for it. */
function filesOf({ group, name }: NewFeature): Record<string, string> {
  const plan = `${pascal(name)}Plan`;
  const slot = `${camel(name)}Slot`;
  return {
    'schema.ts': `import { defineSlot } from '../../../plan/slot.ts';

/** What a route's \`${camel(name)}\` comes down to. */
export interface ${plan} {
  readonly enabled: boolean;
}

export const ${slot} = defineSlot<${plan}>('${camel(name)}');
`,
    'plan.ts': `import type { RoutePlan } from '../../../plan/route-plan.ts';
import { fill, originOf, read } from '../../../plan/slot.ts';
import type { View } from '../../../snapshot/view.ts';
import { httpRouteSlot } from '../${group === 'traffic' ? '' : '../traffic/'}virtual-service/schema.ts';
import { ${slot} } from './schema.ts';

export function decorateRoute(_: View, route: RoutePlan): void {
  const http = read(route, httpRouteSlot) as { readonly ${camel(name)}?: boolean } | undefined;
  const origin = originOf(route, httpRouteSlot);
  if (http?.${camel(name)} && origin)
    fill(route, ${slot}, { enabled: true }, { ...origin, path: \`\${origin.path}.${camel(name)}\` });
}
`,
    'envoy.ts': `import type { Route } from '../../../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import type { RoutePlan } from '../../../plan/route-plan.ts';
import { read } from '../../../plan/slot.ts';
import { ${slot} } from './schema.ts';

export function emitRoute(plan: RoutePlan, message: Route): void {
  if (read(plan, ${slot})?.enabled) message.responseHeadersToRemove.push('x-${name}');
}
`,
    'explain.ts': `import { explainBy } from '../../../plan/explain.ts';

export const explain = explainBy('VirtualService', [
  [/^spec\\.http\\[(\\d+)\\]\\.${camel(name)}$/, 'HTTP route $1 asks for ${name}'],
]);
`,
    'feature.ts': `import type { Feature } from '../../../plan/feature.ts';
import { emitRoute } from './envoy.ts';
import { explain } from './explain.ts';
import { decorateRoute } from './plan.ts';

export const ${camel(name)}: Feature = {
  name: '${group}/${name}',
  kinds: ['VirtualService'],
  explain,
  decorate: { route: decorateRoute },
  emit: { route: emitRoute },
};
`,
    'README.md': `# ${name}

What it does, by which field, and what happens without it.

\`\`\`yaml
http:
  - route: [{ destination: { host: reviews } }]
\`\`\`
`,
    'testdata/basic/in.yaml': `kind: GoldenCase
show: ['9080/reviews.default.svc.cluster.local:9080|reviews.default.svc.cluster.local:9080']
keep: [responseHeadersToRemove]
slots: [${camel(name)}]
---
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: default}
spec: {clusterIP: 10.1.0.1, selector: {app: reviews}, ports: [{name: http, port: 9080}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: default}
spec:
  hosts: [reviews]
  http:
  - ${camel(name)}: true
    route: [{destination: {host: reviews}}]
  - route: [{destination: {host: reviews}}]
`,
  };
}

/**
 * Makes the folder of a feature from a template, with a first golden case, and puts it last into features/index.ts. Returns the
 * paths that were written. Throws when the feature exists.
 */
export function scaffoldFeature(root: string, feature: NewFeature): string[] {
  const { group, name } = feature;
  const features = join(root, 'src', 'features');
  const directory = join(features, group, name);
  if (existsSync(directory)) throw new Error(`${directory} exists already; choose another name`);
  const index = join(features, 'index.ts');
  const text = readFileSync(index, 'utf8');
  const end = text.lastIndexOf('];');
  const lastImport = text.lastIndexOf('\nimport ');
  if (end < 0 || lastImport < 0)
    throw new Error(`${index} does not look as expected: add the feature by hand`);
  const afterImports = text.indexOf('\n', lastImport + 1) + 1;
  const written: string[] = [];
  for (const [file, content] of Object.entries(filesOf(feature))) {
    const path = join(directory, file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
    written.push(path);
  }
  writeFileSync(
    index,
    `${text.slice(0, afterImports)}import { ${camel(name)} } from './${group}/${name}/feature.ts';\n${text.slice(afterImports, end)}  ${camel(name)},\n${text.slice(end)}`,
  );
  return [...written, index];
}
