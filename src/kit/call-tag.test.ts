import { expect, test } from 'vitest';
import { joinCall, splitCall } from './call-tag.ts';

test('what is joined is split again, without the empty fields', () => {
  const fields = { reporter: 'source', response_code: '200', response_flags: '-', peer: 'a;b;c' };
  expect(Object.fromEntries(splitCall(joinCall(fields)))).toEqual(fields);
});

test('a claim with separators stays a claim', () => {
  const fields = { reporter: 'destination', principal: 'spiffe://td/ns/a/sa/b', peer: 'x|200||y|' };
  expect(Object.fromEntries(splitCall(joinCall(fields)))).toEqual(fields);
});

test('text that is too short has fewer fields', () => {
  expect([...splitCall('')]).toEqual([]);
  expect([...splitCall('source|http')]).toEqual([
    ['reporter', 'source'],
    ['request_protocol', 'http'],
  ]);
});
