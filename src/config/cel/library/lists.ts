import { binaryOperators } from '../operators.ts';
import { type Run, spendFor } from '../run.ts';
import { CelError, type CelValue, compare, equal, isList } from '../value.ts';
import { asList, handler, type Library } from './handler.ts';
import { stringIndexOf, stringLastIndexOf } from './strings.ts';

function extreme(run: Run, value: CelValue | undefined, sign: 1 | -1): CelValue {
  const list = asList(value);
  spendFor(run, list);
  const [first, ...rest] = list;
  if (first === undefined) throw new CelError('min() and max() need a list that is not empty');
  return rest.reduce((best, item) => (compare(item, best) * sign > 0 ? item : best), first);
}

function isSorted(run: Run, value: CelValue | undefined): boolean {
  const list = asList(value);
  spendFor(run, list);
  return list.every((item, i) => i === 0 || compare(list[i - 1] ?? null, item) <= 0);
}

function sum(run: Run, value: CelValue | undefined): CelValue {
  const list = asList(value);
  spendFor(run, list);
  const [first, ...rest] = list;
  if (first === undefined) return 0n;
  return rest.reduce((total, item) => binaryOperators['+']?.(run, total, item) ?? total, first);
}

function isSubset(run: Run, part: CelValue | undefined, whole: CelValue | undefined): boolean {
  const items = asList(whole);
  return asList(part).every((item) => {
    spendFor(run, items);
    return items.some((other) => equal(item, other));
  });
}

export const listMethods: Library = {
  isSorted: handler(0, (run, [list]) => isSorted(run, list)),
  sum: handler(0, (run, [list]) => sum(run, list)),
  min: handler(0, (run, [list]) => extreme(run, list, -1)),
  max: handler(0, (run, [list]) => extreme(run, list, 1)),
  indexOf: handler([1, 2], (run, values) => {
    const [target = null, wanted = null] = values;
    if (!isList(target)) return stringIndexOf(run, values);
    return BigInt(target.findIndex((item) => equal(item, wanted)));
  }),
  lastIndexOf: handler([1, 2], (run, values) => {
    const [target = null, wanted = null] = values;
    if (!isList(target)) return stringLastIndexOf(run, values);
    return BigInt(target.findLastIndex((item) => equal(item, wanted)));
  }),
};

export const listNamespaces: Library = {
  'sets.contains': handler(2, (run, [whole, part]) => isSubset(run, part, whole)),
  'sets.equivalent': handler(2, (run, [a, b]) => isSubset(run, a, b) && isSubset(run, b, a)),
  'sets.intersects': handler(2, (run, [a, b]) =>
    asList(a).some((item) => {
      spendFor(run, b ?? null);
      return asList(b).some((other) => equal(item, other));
    }),
  ),
};
