// The page that people open. It asks details and reviews, and passes on who is signed in and the tracing context.
import {
  type Call,
  getJson,
  headersToForward,
  type Reply,
  type Route,
  serve,
  serviceUrl,
} from './http-service.ts';
import { renderIndex, renderProduct } from './page.ts';

export interface Product {
  readonly id: number;
  readonly title: string;
  readonly descriptionHtml: string;
}

const products: readonly Product[] = [
  {
    id: 0,
    title: 'The Comedy of Errors',
    descriptionHtml:
      'Two pairs of twins, parted by a shipwreck and ignorant of each other, spend one day in the same town. Everybody is taken for somebody else: dinners are refused, gold changes hands, and a husband is locked out of his own house. It is the shortest of <b>Shakespeare’s</b> plays, and the fastest.',
  },
];

const timeoutMs = 3_000;
/** Tries for reviews, the first included. Deliberate: with it the delay of Istio's fault demo ends in an error after 6 s. */
const reviewAttempts = 2;

/** A backend's answer in the form that the API and the page want: the body of a 200, or the status and words for people. */
interface Part {
  readonly status: number;
  readonly body: object;
}

function unavailable(status: number, what: string): Part {
  return {
    status: status === 0 ? 500 : status,
    body: { error: `Sorry, the ${what} of this book cannot be shown right now.` },
  };
}

async function ask(service: string, id: string, call: Call, what: string, attempts = 1): Promise<Part> {
  const headers = outgoingHeaders(call);
  let status = 0;
  for (let attempt = 0; attempt < attempts; attempt++) {
    const answer = await getJson(
      `${serviceUrl(service)}/${service}/${encodeURIComponent(id)}`,
      headers,
      timeoutMs,
    );
    if (answer.status === 200) return { status: 200, body: answer.json as object };
    status = answer.status;
  }
  return unavailable(status, what);
}

const details = (id: string, call: Call) => ask('details', id, call, 'details');
const reviews = (id: string, call: Call) => ask('reviews', id, call, 'reviews', reviewAttempts);
const ratings = (id: string, call: Call) => ask('ratings', id, call, 'ratings');

/** Who is signed in, from the session cookie. Any password will do: this is a demo. */
function userOf({ headers }: Call): string {
  const cookie = /(?:^|;\s*)user=([^;]*)/.exec(headers.cookie ?? '')?.[1];
  try {
    const user = decodeURIComponent(cookie ?? '');
    return isUserName(user) ? user : '';
  } catch {
    return '';
  }
}

function isUserName(text: string): boolean {
  return /^[\w.@-]{1,64}$/.test(text);
}

function outgoingHeaders(call: Call): Record<string, string> {
  const user = userOf(call);
  return { ...headersToForward(call.headers), ...(user === '' ? {} : { 'end-user': user }) };
}

function redirect(cookie: string): Reply {
  return {
    status: 302,
    headers: { location: '/productpage', 'set-cookie': `${cookie}; Path=/; HttpOnly; SameSite=Lax` },
  };
}

const html = { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' };

async function productPage(call: Call): Promise<Reply> {
  const [product] = products;
  if (!product) return { status: 404, body: { error: 'no such product' } };
  // One after the other, as the original does: a slow reviews service must not hide in the shadow of a slow details.
  const detailsPart = await details('0', call);
  const reviewsPart = await reviews('0', call);
  return {
    headers: html,
    body: renderProduct({
      user: userOf(call),
      product,
      details: detailsPart.body,
      reviews: reviewsPart.body,
    }),
  };
}

function route(method: Route['method'], path: RegExp, handle: Route['handle']): Route {
  return { method, path, handle };
}

serve('productpage', [
  route('GET', /^\/(index\.html)?$/, (call) => ({ headers: html, body: renderIndex(userOf(call)) })),
  route('GET', /^\/health$/, () => ({ body: 'productpage is healthy' })),
  route('GET', /^\/productpage$/, productPage),
  route('POST', /^\/login$/, async (call) => {
    const form = new URLSearchParams(await call.body());
    const user = form.get('username') ?? call.url.searchParams.get('username') ?? '';
    if (!isUserName(user))
      return { status: 400, body: { error: 'a user name has letters, digits, and . _ @ - only, up to 64' } };
    return redirect(`user=${encodeURIComponent(user)}`);
  }),
  route('GET', /^\/logout$/, () => redirect('user=; Max-Age=0')),
  route('GET', /^\/api\/v1\/products$/, () => ({ body: products })),
  route('GET', /^\/api\/v1\/products\/(?<id>[^/]+)$/, (call) => details(call.groups.id ?? '', call)),
  route('GET', /^\/api\/v1\/products\/(?<id>[^/]+)\/reviews$/, (call) => reviews(call.groups.id ?? '', call)),
  route('GET', /^\/api\/v1\/products\/(?<id>[^/]+)\/ratings$/, (call) => ratings(call.groups.id ?? '', call)),
]);
