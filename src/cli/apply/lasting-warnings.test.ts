import { afterEach, expect, test } from 'vitest';
import { startTestApi, type TestApi } from '../../../test/support/api-server.ts';
import type { AdmissionHook } from '../../config/api-server/admission-hooks.ts';
import { parseYamlDocuments } from '../../config/yaml-documents.ts';
import { connect } from '../connection.ts';
import { type Applied, applyObjects } from './apply-objects.ts';
import { checkObjects } from './check-objects.ts';
import { isAboutOthers, lastingWarnings, placed } from './lasting-warnings.ts';

let api: TestApi | undefined;
afterEach(() => api?.close());

const text = `apiVersion: v1
kind: ConfigMap
metadata: {name: a}
data: {needs: b}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: b}
data: {needs: c}
`;

test('of what is written together, only what is still missing afterwards is warned of, at its place', async () => {
  const there = new Set<string>();
  const hook: AdmissionHook = {
    name: 'needs',
    validate: ({ object, dryRun, warn }) => {
      const { needs } = (object?.data ?? {}) as { needs?: string };
      if (!dryRun) there.add(object?.metadata.name ?? '');
      if (needs && !there.has(needs)) warn(`[ReferencedMapNotFound] data.needs: there is no ${needs}`);
      return [];
    },
  };
  api = await startTestApi({ hooks: [hook] });
  const { client } = connect({ kubeconfig: api.kubeconfig });
  const { objects } = parseYamlDocuments(text, 'maps.yaml');
  const options = { fieldManager: 'test', force: false, namespace: 'default' };
  const { verdicts } = await checkObjects(client, objects, options, false);
  const applied: Applied[] = [];
  for await (const one of applyObjects(client, objects, verdicts, options)) applied.push(one);
  expect(applied.map(({ warnings }) => warnings.some(isAboutOthers))).toEqual([true, true]);
  const lasting = await lastingWarnings(client, applied, options);
  client.close();
  const told = lasting.flatMap(({ source, warnings }) => warnings.map((warning) => placed(warning, source)));
  expect(told).toEqual(['maps.yaml:9:8: [ReferencedMapNotFound] data.needs: there is no c']);
});
