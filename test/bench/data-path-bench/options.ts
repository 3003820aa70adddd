import { parseArgs } from 'node:util';
import { type VariantName, variantPlans } from './variants.ts';

export interface Options {
  readonly rounds: number;
  readonly seconds: number;
  readonly concurrency: readonly number[];
  readonly rate: number;
  readonly pin: boolean;
  readonly instructions?: number;
  readonly variants: readonly VariantName[];
}

const usual: readonly VariantName[] = ['ours', 'longChainHttp1', 'longChainHttp2', 'defaultChainHttp1'];

const variantNames = Object.keys(variantPlans) as VariantName[];

export const usage = `bench:data-path -- [options]
  --rounds N         turns of each variant; medians are printed (8)
  --seconds N        length of each turn, whole seconds (1)
  --concurrency N,M  connections at saturation (32)
  --rate N           requests per second of the paced load (800)
  --pin              keep callers' Envoys and the server on one core, the called Envoys and the load on another
  --instructions N   count instructions of N requests over the most connections instead of measuring time
  --variants A,B     of ${variantNames.join(', ')}
                     (${usual.join(',')})
`;

export function parseOptions(args: string[]): Options {
  const text = { type: 'string' as const };
  const { values } = parseArgs({
    args,
    options: {
      rounds: text,
      seconds: text,
      concurrency: text,
      rate: text,
      pin: { type: 'boolean', default: false },
      instructions: text,
      variants: text,
    },
  });
  const wanted = values.variants?.split(',') ?? usual;
  for (const name of wanted)
    if (!variantNames.includes(name as VariantName))
      throw new Error(`--variants: ${name} is none of ${variantNames.join(', ')}`);
  return {
    rounds: count('rounds', values.rounds ?? '8'),
    seconds: count('seconds', values.seconds ?? '1'),
    concurrency: (values.concurrency ?? '32').split(',').map((value) => count('concurrency', value)),
    rate: count('rate', values.rate ?? '800'),
    pin: values.pin,
    ...(values.instructions === undefined
      ? {}
      : { instructions: count('instructions', values.instructions) }),
    variants: variantNames.filter((name) => wanted.includes(name)),
  };
}

function count(name: string, value: string): number {
  const number = Number(value);
  if (!Number.isInteger(number) || number < 1)
    throw new Error(`--${name} must be a whole number of 1 or more, not ${value}`);
  return number;
}
