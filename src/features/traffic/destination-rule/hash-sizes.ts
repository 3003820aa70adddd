/** Envoy's largest ring. */
export const maxRingSize = 8_388_608;
/** Envoy's largest table. */
export const maxTableSize = 5_000_011;

/** Entries of a hash ring, at least; 1,024 where nobody says. */
export function ringSize(wish: number | undefined): number {
  return Math.min(wish || 1024, maxRingSize);
}

/** Entries of a Maglev table: Envoy takes primes only, so the next one. */
export function maglevTableSize(wish: number | undefined): number {
  let size = Math.min(wish || 65_537, maxTableSize);
  while (!isPrime(size)) size++;
  return size;
}

export function isPrime(number: number): boolean {
  if (number < 2) return false;
  for (let divisor = 2; divisor * divisor <= number; divisor++) if (number % divisor === 0) return false;
  return true;
}
