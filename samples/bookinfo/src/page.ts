import type { Product } from './productpage.ts';
import { styles } from './styles.ts';

const escapes: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escapeHtml(value: unknown): string {
  return String(value).replace(/[&<>"']/g, (character) => escapes[character] ?? '');
}

const favicon = `data:image/svg+xml,${encodeURIComponent(
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#7a2036"/><path d="M8 7h7c1 0 1 1 1 1v17s0-2-2-2H8zm16 0h-7c-1 0-1 1-1 1v17s0-2 2-2h6z" fill="#f6e7c9"/></svg>',
)}`;

/** Two faces, one laughing and one cross, that differ in nothing else: the play in one picture. */
const cover = `<svg class="cover" viewBox="0 0 240 340" role="img" aria-label="Book cover: two identical masks">
  <defs>
    <linearGradient id="cloth" x1="0" y1="0" x2="1" y2="1"><stop offset="0" stop-color="#8f2a43"/><stop offset="1" stop-color="#571527"/></linearGradient>
    <linearGradient id="face" x1="0" y1="0" x2="0" y2="1"><stop offset="0" stop-color="#fdf3dc"/><stop offset="1" stop-color="#ecd4a4"/></linearGradient>
  </defs>
  <rect width="240" height="340" rx="8" fill="url(#cloth)"/>
  <rect x="0" width="14" height="340" fill="#000" opacity=".18"/>
  <rect x="26" y="16" width="198" height="308" rx="4" fill="none" stroke="#e3c07a" stroke-width="1.5"/>
  <rect x="31" y="21" width="188" height="298" rx="3" fill="none" stroke="#e3c07a" stroke-width=".6"/>
  <g fill="#f6e0ae" text-anchor="middle" font-family="Georgia, 'Times New Roman', serif">
    <text x="125" y="62" font-size="13" letter-spacing="4">THE</text>
    <text x="125" y="92" font-size="27" letter-spacing="2">COMEDY</text>
    <text x="125" y="113" font-size="13" font-style="italic">of</text>
    <text x="125" y="141" font-size="27" letter-spacing="2">ERRORS</text>
    <text x="125" y="300" font-size="11" letter-spacing="2.5">SHAKESPEARE</text>
  </g>
  <g transform="translate(152 218) rotate(9)">
    <path d="M-31-40Q0-52 31-40 36 10 0 44-36 10-31-40Z" fill="#d9b978"/>
    <path d="M-19-16q8-7 15-1M4-17q7-6 15 1" stroke="#571527" stroke-width="3" fill="none" stroke-linecap="round"/>
    <path d="M-14 20Q0 6 14 20" stroke="#571527" stroke-width="3.4" fill="none" stroke-linecap="round"/>
  </g>
  <g transform="translate(98 214) rotate(-9)">
    <path d="M-31-40Q0-52 31-40 36 10 0 44-36 10-31-40Z" fill="url(#face)"/>
    <path d="M-19-14q8-8 15 0M4-14q7-8 15 0" stroke="#571527" stroke-width="3" fill="none" stroke-linecap="round"/>
    <path d="M-16 6Q0 28 16 6Z" fill="#571527"/>
  </g>
  <path d="M86 268c14 10 64 10 78 0" stroke="#e3c07a" stroke-width="1" fill="none"/>
</svg>`;

function layout(title: string, user: string, main: string): string {
  const account =
    user === ''
      ? `<button class="button" type="button" popovertarget="sign-in">Sign in</button>
        <form id="sign-in" class="sheet" popover method="post" action="/login">
          <h2>Sign in</h2>
          <p>Any password will do. Routing rules know <b>jason</b>.</p>
          <label>User name<input name="username" autocomplete="username" required pattern="[A-Za-z0-9_.@\\-]{1,64}" placeholder="jason" autofocus></label>
          <label>Password<input name="passwd" type="password" autocomplete="current-password"></label>
          <button class="button" type="submit">Sign in</button>
        </form>`
      : `<span class="who"><span class="avatar" aria-hidden="true">${escapeHtml(user[0]?.toUpperCase())}</span><b>${escapeHtml(user)}</b></span>
        <a class="button quiet" href="/logout">Sign out</a>`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<link rel="icon" href="${favicon}">
<style>${styles}</style>
</head>
<body>
<header class="bar">
  <a class="brand" href="/productpage"><img src="${favicon}" alt="" width="28" height="28">Bookinfo</a>
  <nav>${account}</nav>
</header>
<main>${main}</main>
</body>
</html>
`;
}

function problem(text: unknown): string {
  return `<p class="problem" role="status"><svg viewBox="0 0 20 20" width="20" height="20" aria-hidden="true"><path d="M10 1.8 19 17.6H1Z" fill="none" stroke="currentColor" stroke-width="1.6" stroke-linejoin="round"/><path d="M10 7.4v4.6m0 2.2v.6" stroke="currentColor" stroke-width="1.8" stroke-linecap="round"/></svg>${escapeHtml(text)}</p>`;
}

const labels: readonly (readonly [key: string, label: string])[] = [
  ['author', 'Author'],
  ['year', 'First performed'],
  ['type', 'Binding'],
  ['pages', 'Pages'],
  ['publisher', 'Publisher'],
  ['language', 'Language'],
  ['ISBN-10', 'ISBN-10'],
  ['ISBN-13', 'ISBN-13'],
];

function renderDetails(details: object): string {
  const facts = details as Readonly<Record<string, unknown>>;
  if (facts.error !== undefined) return problem(facts.error);
  const rows = labels
    .filter(([key]) => facts[key] !== undefined)
    .map(([key, label]) => `<div><dt>${label}</dt><dd>${escapeHtml(facts[key])}</dd></div>`);
  return `<dl class="facts">${rows.join('')}</dl>`;
}

interface Review {
  readonly reviewer: string;
  readonly text: string;
  readonly rating?: { readonly stars?: number; readonly color?: string; readonly error?: string };
}

const starPath = 'M10 1.6l2.6 5.4 5.9.8-4.3 4.1 1.1 5.9L10 15l-5.3 2.8 1.1-5.9L1.5 7.8l5.9-.8z';

function renderRating(rating: Review['rating']): string {
  if (!rating) return '';
  if (rating.error !== undefined) return problem(rating.error);
  const stars = Math.max(0, Math.min(5, Math.round(rating.stars ?? 0)));
  const drawn = Array.from(
    { length: 5 },
    (_, index) =>
      `<svg viewBox="0 0 20 20" class="${index < stars ? 'full' : 'empty'}" aria-hidden="true"><path d="${starPath}"/></svg>`,
  );
  const color = rating.color === 'red' ? 'red' : 'black';
  return `<div class="stars ${color}" role="img" aria-label="${stars} of 5 stars" data-stars="${stars}" data-color="${color}">${drawn.join('')}</div>`;
}

function renderReviews(body: object): string {
  const { reviews, error } = body as { reviews?: readonly Review[]; error?: string };
  if (error !== undefined || !reviews) return problem(error ?? 'The reviews service gave an unknown answer.');
  const cards = reviews.map(
    ({ reviewer, text, rating }) => `<figure class="review">
      ${renderRating(rating)}
      <blockquote>${escapeHtml(text)}</blockquote>
      <figcaption><span class="avatar" aria-hidden="true">${escapeHtml(reviewer.replace(/\D/g, '') || reviewer[0])}</span>${escapeHtml(reviewer)}</figcaption>
    </figure>`,
  );
  return `<div class="reviews">${cards.join('')}</div>`;
}

/** Which copy of the reviews service answered: what one wants to see while traffic is being shifted. */
function renderServedBy(body: object): string {
  const { podname, clustername } = body as { podname?: string; clustername?: string };
  if (podname === undefined) return '';
  return `<p class="served">Reviews served by <code>${escapeHtml(podname)}</code> in <code>${escapeHtml(clustername)}</code></p>`;
}

export interface ProductView {
  /** '' when nobody is signed in. */
  readonly user: string;
  readonly product: Product;
  /** What the services answered, or `{ error }`. */
  readonly details: object;
  readonly reviews: object;
}

export function renderProduct({ user, product, details, reviews }: ProductView): string {
  return layout(
    `${product.title} · Bookinfo`,
    user,
    `<section class="hero">
      ${cover}
      <div>
        <p class="kicker">Play in five acts</p>
        <h1>${escapeHtml(product.title)}</h1>
        <p class="summary">${product.descriptionHtml}</p>
      </div>
    </section>
    <div class="columns">
      <section aria-labelledby="details"><h2 id="details">Book details</h2>${renderDetails(details)}</section>
      <section aria-labelledby="reviews"><h2 id="reviews">What readers say</h2>${renderReviews(reviews)}${renderServedBy(reviews)}</section>
    </div>`,
  );
}

const callers: readonly (readonly [service: string, calls: string, what: string])[] = [
  ['productpage', 'details, reviews', 'the page that you see'],
  ['details', 'nothing', 'facts about the book'],
  ['reviews', 'ratings (v2 and v3)', 'what readers say; three versions'],
  ['ratings', 'nothing', 'stars per reader'],
];

export function renderIndex(user: string): string {
  const rows = callers.map(
    ([service, calls, what]) =>
      `<tr><th scope="row"><code>${service}</code></th><td>${calls}</td><td>${what}</td></tr>`,
  );
  return layout(
    'Bookinfo',
    user,
    `<section class="hero">
      ${cover}
      <div>
        <p class="kicker">A sample application</p>
        <h1>Bookinfo</h1>
        <p class="summary">Four small services that make one page. Each runs behind its own Envoy, so that routing rules, faults and policies can be seen at work.</p>
        <p><a class="button" href="/productpage">Open the book</a></p>
      </div>
    </section>
    <section><h2>Who calls whom</h2>
      <table><thead><tr><th>Service</th><th>Calls</th><th>Gives</th></tr></thead><tbody>${rows.join('')}</tbody></table>
    </section>`,
  );
}
