import { expect, test } from 'vitest';
import { wrapText } from './wrap-text.ts';

test('what is longer than a line goes on below where it began', () => {
  const text = [
    'GET http://reviews:9080/  from default/productpage',
    '  route           HTTP route 1 of VirtualService reviews takes every request  reviews.yaml:13:7',
    '                  × HTTP route 0 of VirtualService reviews: header end-user must be "jason"',
    '✘ GET http://reviews:9080/ is refused with 403',
    'short',
    '',
  ].join('\n');
  expect(wrapText(text, 44)).toBe(
    [
      'GET http://reviews:9080/',
      '  from default/productpage',
      '  route           HTTP route 1 of',
      '                  VirtualService reviews',
      '                  takes every request',
      '                  reviews.yaml:13:7',
      '                  × HTTP route 0 of',
      '                    VirtualService reviews:',
      '                    header end-user must be',
      '                    "jason"',
      '✘ GET http://reviews:9080/ is refused with',
      '  403',
      'short',
      '',
    ].join('\n'),
  );
  expect(wrapText(text, 200)).toBe(text);
});

test('colours take no room, and words longer than a line stay whole', () => {
  const red = '\u001b[31mone two\u001b[39m three';
  expect(wrapText(red, 13)).toBe(red);
  expect(wrapText(red, 12)).toBe('\u001b[31mone two\u001b[39m\n  three');
  expect(wrapText(`see ${'x'.repeat(30)} there`, 10)).toBe(`see\n  ${'x'.repeat(30)}\n  there`);
});
