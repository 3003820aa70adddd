import { expect, test } from 'vitest';
import { createEngine } from '../snapshot/engine/engine.ts';
import { createMonitoring } from './monitoring.ts';

test('counts of the delivery add up by event and detail, and stay as they are from one look to the next', async () => {
  const monitoring = createMonitoring(createEngine({ roots: [] }), [], undefined);
  const counts = async () =>
    (await monitoring.metrics()).text
      .split('\n')
      .filter((line) => line.startsWith('ostria_xds_events_total'));
  expect(await counts()).toEqual([]);
  monitoring.xds.add('pushes', 1, 'CDS');
  monitoring.xds.add('push_bytes', 1_500, 'CDS');
  monitoring.xds.add('pushes', 1, 'EDS');
  monitoring.xds.add('pushes', 1, 'CDS');
  const expected = [
    'ostria_xds_events_total{event="pushes",detail="CDS"} 2',
    'ostria_xds_events_total{event="pushes",detail="EDS"} 1',
    'ostria_xds_events_total{event="push_bytes",detail="CDS"} 1500',
  ];
  expect(await counts()).toEqual(expected);
  expect(await counts()).toEqual(expected);
  monitoring.xds.add('push_bytes', 500, 'CDS');
  expect(await counts()).toContain('ostria_xds_events_total{event="push_bytes",detail="CDS"} 2000');
  await monitoring.stop();
});
