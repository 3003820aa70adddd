import type { Promises } from './recipe.ts';

const toReviews = { from: 'productpage-v1', request: 'GET http://reviews:9080/reviews/0' };
const toRatings = { from: 'reviews-v2', request: 'GET http://ratings:9080/ratings/0' };
const details = (path: string, more = {}) => ({
  from: 'productpage-v1',
  request: `GET http://details:9080${path}`,
  ...more,
});
const site = (path: string, more = {}) => ({
  from: 'ingress',
  request: `GET http://site.example:8080${path}`,
  ...more,
});

/** docs/guides/traffic.md */
export const traffic: readonly Promises[] = [
  {
    title: 'Send a share to a new version',
    block: 0,
    tests: [
      {
        ...toReviews,
        expect: {
          goesTo: [
            { workload: 'reviews-v1', subset: 'v1', weight: 90 },
            { workload: 'reviews-v3', subset: 'v3', weight: 10 },
          ],
        },
      },
    ],
  },
  {
    title: 'Send a share to a new version',
    block: 1,
    tests: [
      {
        ...toReviews,
        expect: {
          goesTo: [
            { workload: 'reviews-v1', service: 'reviews-v1', weight: 90 },
            { workload: 'reviews-v3', service: 'reviews-v3', weight: 10 },
          ],
        },
      },
    ],
  },
  {
    title: 'Choose by what the request says',
    tests: [
      { ...toReviews, expect: { goesTo: 'reviews-v1' } },
      { ...toReviews, headers: { cookie: 'a=b; group=testers' }, expect: { goesTo: 'reviews-v3' } },
      { ...toReviews, headers: { cookie: 'group=testersx' }, expect: { goesTo: 'reviews-v1' } },
      { ...toReviews, request: `${toReviews.request}?preview=1`, expect: { goesTo: 'reviews-v3' } },
    ],
  },
  {
    title: 'Choose by who asks',
    tests: [
      { ...toRatings, from: 'reviews-v3', expect: { goesTo: 'ratings-v1' } },
      { ...toRatings, expect: { status: 404 } },
    ],
  },
  {
    title: 'Copy requests to a version that answers nobody',
    tests: [{ ...toReviews, expect: { goesTo: 'reviews-v1' } }],
  },
  {
    title: 'Give up in time, and try again',
    tests: [{ ...toRatings, expect: { goesTo: 'ratings-v1', timeout: '3s', retries: 2 } }],
  },
  {
    title: 'Fail on purpose',
    tests: [
      { ...toRatings, headers: { 'end-user': 'jason' }, expect: { status: 503 } },
      { ...toRatings, headers: { 'end-user': 'slow' }, expect: { goesTo: 'ratings-v1' } },
      { ...toRatings, expect: { goesTo: 'ratings-v1' } },
    ],
  },
  {
    title: 'Rewrite, redirect, answer, and change headers',
    tests: [
      details('/v1/details/0', {
        headers: { cookie: 'a=b' },
        expect: { goesTo: 'details-v1', path: '/details/0', headers: { 'x-api': 'v1', cookie: null } },
      }),
      details('/old', { expect: { status: 308, redirect: 'http://details:9080/details/0' } }),
      details('/healthz', { expect: { status: 200, allowed: true } }),
      details('/details/0', { expect: { goesTo: 'details-v1', path: '/details/0' } }),
    ],
  },
  {
    title: 'Let pages of other origins call',
    tests: [
      {
        from: 'productpage-v1',
        request: 'OPTIONS http://details:9080/details/0',
        headers: { origin: 'https://eu.shop.example', 'access-control-request-method': 'POST' },
        expect: { status: 200 },
      },
      details('/details/0', {
        headers: { origin: 'https://shop.example' },
        expect: { goesTo: 'details-v1' },
      }),
    ],
  },
  ...[
    'Keep one bad endpoint from hurting everybody',
    'Send a user to the same endpoint again',
    'Stay in the zone',
  ].map((title) => ({ title, tests: [{ ...toRatings, expect: { goesTo: 'ratings-v1' } }] })),
  {
    title: 'Split a host among teams',
    tests: [
      site('/reviews/0', { headers: { 'end-user': 'jason' }, expect: { goesTo: 'reviews-v2' } }),
      site('/reviews/0', { expect: { goesTo: 'reviews-v1' } }),
      site('/details/0', { expect: { goesTo: 'details-v1' } }),
      site('/ratings/0', { expect: { status: 404 } }),
    ],
  },
];
