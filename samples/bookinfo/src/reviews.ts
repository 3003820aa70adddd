// What readers say. One program, three versions, by environment:
//   v1  ENABLE_RATINGS=false                  no stars
//   v2  ENABLE_RATINGS=true                   black stars
//   v3  ENABLE_RATINGS=true STAR_COLOR=red    red stars
import { getJson, headersToForward, type Route, serve, serviceUrl } from './http-service.ts';

const withRatings = process.env.ENABLE_RATINGS === 'true';
const color = process.env.STAR_COLOR ?? 'black';
const pod = process.env.HOSTNAME ?? 'unknown';
const cluster = process.env.CLUSTER_NAME ?? 'local';

/**
 * The versions are known to wait differently for ratings: this is what makes the delay of Istio's fault demo show in the
 * signed-in user's page (7 s are within v2's patience, but not within productpage's).
 */
const ratingsTimeoutMs = color === 'black' ? 10_000 : 2_500;

const texts = {
  Reviewer1:
    'Two sets of twins, one very long day, and not a dull minute in it. I laughed until the last door was finally opened.',
  Reviewer2:
    'Pure clockwork fun from start to finish. Do not come for deep thoughts: come for the pace, the puns and the muddle.',
};

function starsOf(json: unknown, reviewer: string): number | undefined {
  const stars = (json as { ratings?: Record<string, unknown> } | undefined)?.ratings?.[reviewer];
  return typeof stars === 'number' ? stars : undefined;
}

const routes: readonly Route[] = [
  {
    method: 'GET',
    path: /^\/health$/,
    handle: () => ({ body: { status: 'reviews is healthy' } }),
  },
  {
    method: 'GET',
    path: /^\/reviews\/(?<id>[^/]*)$/,
    handle: async ({ groups, headers }) => {
      const id = groups.id ?? '';
      if (!/^-?\d+$/.test(id)) return { status: 400, body: { error: 'the product id must be a number' } };
      const ratings = withRatings
        ? await getJson(`${serviceUrl('ratings')}/ratings/${id}`, headersToForward(headers), ratingsTimeoutMs)
        : undefined;
      const reviews = Object.entries(texts).map(([reviewer, text]) => {
        if (!ratings) return { reviewer, text };
        const stars = ratings.status === 200 ? starsOf(ratings.json, reviewer) : undefined;
        return {
          reviewer,
          text,
          rating: stars === undefined ? { error: 'Ratings are unavailable right now' } : { stars, color },
        };
      });
      return { body: { id, podname: pod, clustername: cluster, reviews } };
    },
  },
];

serve('reviews', routes);
