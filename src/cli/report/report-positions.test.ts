import { expect, test } from 'vitest';
import { parseYamlDocuments } from '../../config/yaml-documents.ts';
import { parsedPlaces, reportPlaces } from './report-positions.ts';

const text = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
  - match: [{headers: {end-user: {exact: jason}}}]
    route: [{destination: {host: reviews, subset: v2}}]
  - route:
    - destination: {host: reviews, subset: v1}
`;

test('places travel without their files, and tell of fields what the file told', () => {
  const [parsed] = parseYamlDocuments(Buffer.from(text), 'reviews.yaml').objects;
  if (!parsed) throw new Error('nothing was parsed');
  const id = 'VirtualService/default/reviews';
  const places = JSON.parse(JSON.stringify(reportPlaces(new Map([[id, parsed]]))));
  const found = parsedPlaces(places).get(id);
  for (const path of ['', 'spec', 'spec.http[0]', 'spec.http[0].match[0]', 'spec.http[1].route[0]'])
    expect(found?.positions.at(path), path).toEqual(parsed.positions.at(path));
  // What stands further inside has the place of the field around it.
  expect(found?.positions.at('spec.http[1].route[0].destination.subset')?.line).toBe(10);
});
