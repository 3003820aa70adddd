// Stars per reviewer, kept in memory.
import { type Route, serve } from './http-service.ts';

interface Ratings {
  readonly id: number;
  readonly ratings: Readonly<Record<string, number>>;
}

/** What users posted, by product. Bounded: a demo that runs for weeks must not grow. */
const posted = new Map<number, Ratings>();
const maxPosted = 1_000;

const initial = { Reviewer1: 5, Reviewer2: 4 };

function parseStars(text: string): Record<string, number> | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const entries = Object.entries(value);
  return entries.every(([, stars]) => typeof stars === 'number') ? Object.fromEntries(entries) : undefined;
}

const badId = { status: 400, body: { error: 'the product id must be a number' } };

const routes: readonly Route[] = [
  {
    method: 'GET',
    path: /^\/health$/,
    handle: () => ({ body: { status: 'ratings is healthy' } }),
  },
  {
    method: 'GET',
    path: /^\/ratings\/(?<id>[^/]*)$/,
    handle: ({ groups }) => {
      const id = Number.parseInt(groups.id ?? '', 10);
      if (Number.isNaN(id)) return badId;
      return { body: posted.get(id) ?? { id, ratings: initial } };
    },
  },
  {
    method: 'POST',
    path: /^\/ratings\/(?<id>[^/]*)$/,
    handle: async ({ groups, body }) => {
      const id = Number.parseInt(groups.id ?? '', 10);
      if (Number.isNaN(id)) return badId;
      const ratings = parseStars(await body());
      if (!ratings)
        return {
          status: 400,
          body: { error: 'the body must be a JSON object of numbers, such as {"Reviewer1": 3}' },
        };
      if (posted.size >= maxPosted) posted.clear();
      posted.set(id, { id, ratings });
      return { body: { id, ratings } };
    },
  },
];

serve('ratings', routes);
