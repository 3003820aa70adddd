import { expect, test } from 'vitest';
import { fc } from '../../test/support/properties.ts';
import { formatterText } from './header-value.ts';

test.each([
  ['plain', 'plain'],
  ['100%', '100%%'],
  ['50%% done', '50%% done'],
  ['%REQ(x-user):10%', '%REQ(x-user):10%'],
  ['%DOWNSTREAM_REMOTE_ADDRESS% and 5%', '%DOWNSTREAM_REMOTE_ADDRESS% and 5%%'],
  ['%req%', '%%req%%'],
])('%s is sent as %s', (given, expected) => {
  expect(formatterText(given)).toBe(expected);
});

test('a lone percent sign never reaches Envoy', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom('%', 'A', 'b', '(', ')', ':', '1', ' ') }), (text) => {
      const left = formatterText(text).replace(/%[A-Z][A-Z0-9_]*(?:\([^)]*\))?(?::\d+)?%/g, '');
      expect(left.replaceAll('%%', '')).not.toContain('%');
    }),
  );
});
