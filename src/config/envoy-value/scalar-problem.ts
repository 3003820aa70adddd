import { ScalarType } from '@bufbuild/protobuf';
import { quote } from '../report.ts';

const ranges: ReadonlyMap<ScalarType, readonly [min: bigint, max: bigint]> = new Map([
  [ScalarType.INT32, [-(2n ** 31n), 2n ** 31n - 1n]],
  [ScalarType.SINT32, [-(2n ** 31n), 2n ** 31n - 1n]],
  [ScalarType.SFIXED32, [-(2n ** 31n), 2n ** 31n - 1n]],
  [ScalarType.UINT32, [0n, 2n ** 32n - 1n]],
  [ScalarType.FIXED32, [0n, 2n ** 32n - 1n]],
  [ScalarType.INT64, [-(2n ** 63n), 2n ** 63n - 1n]],
  [ScalarType.SINT64, [-(2n ** 63n), 2n ** 63n - 1n]],
  [ScalarType.SFIXED64, [-(2n ** 63n), 2n ** 63n - 1n]],
  [ScalarType.UINT64, [0n, 2n ** 64n - 1n]],
  [ScalarType.FIXED64, [0n, 2n ** 64n - 1n]],
]);

/** What is wrong with the JSON of a protobuf scalar; undefined: nothing. */
export function scalarProblem(type: ScalarType, value: unknown): string | undefined {
  const given = quote(value, 40);
  if (type === ScalarType.STRING)
    return typeof value === 'string' ? undefined : `must be a text, not ${given}`;
  if (type === ScalarType.BOOL)
    return typeof value === 'boolean' ? undefined : `must be true or false, not ${given}`;
  if (type === ScalarType.BYTES)
    return typeof value === 'string' && /^[A-Za-z0-9+/_-]*={0,2}$/.test(value)
      ? undefined
      : `must be bytes in base64, not ${given}`;
  if (type === ScalarType.DOUBLE || type === ScalarType.FLOAT)
    return isNumeric(value) ? undefined : `must be a number, not ${given}`;
  const range = ranges.get(type);
  if (!range) return undefined;
  if (!isWhole(value)) return `must be a whole number, not ${given}`;
  const number = BigInt(value);
  return number < range[0] || number > range[1]
    ? `${given} is out of range: ${range[0]} to ${range[1]}`
    : undefined;
}

function isNumeric(value: unknown): boolean {
  return (
    typeof value === 'number' ||
    (typeof value === 'string' && value.trim() !== '' && Number.isFinite(Number(value)))
  );
}

function isWhole(value: unknown): value is number | string {
  return (
    (typeof value === 'number' && Number.isInteger(value)) ||
    (typeof value === 'string' && /^-?\d{1,20}$/.test(value))
  );
}
