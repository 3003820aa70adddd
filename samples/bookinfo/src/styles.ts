export const styles = `
:root {
  color-scheme: light dark;
  --paper: #faf6ee; --card: #fffdf8; --ink: #2b2320; --soft: #6b5f57; --line: #e6dccb;
  --wine: #7a2036; --wine-ink: #fff7e8; --gold: #b98a2f; --star: #2b2320; --star-empty: #ddd0bb;
  --problem: #8a3b12; --problem-paper: #fdf0dd; --shadow: 0 1px 2px rgb(60 40 20 / .06), 0 8px 24px rgb(60 40 20 / .07);
  --serif: 'Iowan Old Style', 'Palatino Linotype', Palatino, 'URW Palladio L', P052, Georgia, serif;
  --sans: system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Noto Sans', 'DejaVu Sans', Arial, sans-serif;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #1b1714; --card: #241f1b; --ink: #f1e8da; --soft: #b3a595; --line: #3a322b;
    --wine: #a63a56; --star: #f1e8da; --star-empty: #4a4038;
    --problem: #f3b27a; --problem-paper: #33241a; --shadow: 0 1px 2px rgb(0 0 0 / .4), 0 8px 24px rgb(0 0 0 / .3);
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 1rem/1.6 var(--sans); }
h1, h2, .brand, blockquote { font-family: var(--serif); }
h1 { font-size: clamp(2.1rem, 1.4rem + 3.4vw, 3.5rem); line-height: 1.08; margin: .2rem 0 1rem; font-weight: 600; letter-spacing: -.01em; text-wrap: balance; }
h2 { font-size: 1.45rem; margin: 0 0 1rem; font-weight: 600; }
code { font: .92em ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace; background: color-mix(in srgb, var(--ink) 7%, transparent); padding: .1em .4em; border-radius: 5px; }
.bar { display: flex; align-items: center; justify-content: space-between; gap: 1rem; padding: .75rem max(1.25rem, 50vw - 32.75rem); background: var(--card); border-bottom: 1px solid var(--line); position: sticky; top: 0; z-index: 1; }
.brand { display: flex; align-items: center; gap: .6rem; color: inherit; text-decoration: none; font-size: 1.3rem; font-weight: 600; }
nav { display: flex; align-items: center; gap: .9rem; }
.who { display: flex; align-items: center; gap: .5rem; }
.avatar { display: inline-grid; place-items: center; width: 2rem; height: 2rem; border-radius: 50%; background: color-mix(in srgb, var(--wine) 16%, var(--card)); color: var(--wine); font: 600 .9rem var(--sans); }
@media (prefers-color-scheme: dark) { .avatar { color: #f0b9c6; } }
.button { display: inline-block; border: 1px solid transparent; border-radius: 999px; background: var(--wine); color: var(--wine-ink); font: 600 .95rem/1.2 var(--sans); padding: .6rem 1.15rem; cursor: pointer; text-decoration: none; }
.button:hover { filter: brightness(1.12); }
.button.quiet { background: transparent; color: inherit; border-color: var(--line); }
:focus-visible { outline: 3px solid color-mix(in srgb, var(--gold) 70%, transparent); outline-offset: 2px; }
main { max-width: 68rem; margin: 0 auto; padding: clamp(1.5rem, 4vw, 3.25rem) 1.25rem 4rem; }
.hero { display: grid; grid-template-columns: minmax(9rem, 15rem) 1fr; gap: clamp(1.5rem, 4vw, 3.5rem); align-items: center; margin-bottom: clamp(2rem, 5vw, 3.5rem); }
.cover { width: 100%; height: auto; border-radius: 8px; filter: drop-shadow(0 14px 22px rgb(40 10 20 / .3)); }
.kicker { margin: 0; color: var(--gold); font-size: .8rem; font-weight: 600; letter-spacing: .14em; text-transform: uppercase; }
.summary { font-size: 1.12rem; max-width: 40rem; margin: 0 0 1.2rem; color: color-mix(in srgb, var(--ink) 84%, var(--soft)); }
.columns { display: grid; grid-template-columns: minmax(16rem, 2fr) 3fr; gap: clamp(1.5rem, 4vw, 3rem); align-items: start; }
.facts { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: 14px; box-shadow: var(--shadow); padding: .4rem 1.2rem; }
.facts div { display: flex; justify-content: space-between; gap: 1rem; padding: .62rem 0; border-top: 1px solid var(--line); }
.facts div:first-child { border-top: 0; }
dt { color: var(--soft); }
dd { margin: 0; font-weight: 600; text-align: right; font-variant-numeric: tabular-nums; }
dd::first-letter { text-transform: uppercase; }
.reviews { display: grid; gap: 1.1rem; }
.review { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: 14px; box-shadow: var(--shadow); padding: 1.3rem 1.4rem 1.15rem; }
blockquote { margin: 0 0 .9rem; font-size: 1.17rem; line-height: 1.5; }
figcaption { display: flex; align-items: center; gap: .6rem; color: var(--soft); font-size: .95rem; }
.stars { display: flex; gap: .2rem; margin-bottom: .7rem; }
.stars svg { width: 1.45rem; height: 1.45rem; fill: var(--star-empty); }
.stars.black .full { fill: var(--star); }
.stars.red .full { fill: #d3202f; }
.problem { display: flex; align-items: center; gap: .7rem; margin: 0 0 .9rem; padding: .8rem 1rem; border-radius: 12px; background: var(--problem-paper); color: var(--problem); }
.problem svg { flex: none; }
.served { color: var(--soft); font-size: .9rem; margin: 1.1rem 0 0; }
.sheet { border: 1px solid var(--line); border-radius: 18px; background: var(--card); color: inherit; padding: 1.6rem; width: min(22rem, calc(100vw - 2rem)); box-shadow: 0 24px 60px rgb(0 0 0 / .3); }
.sheet::backdrop { background: rgb(30 15 10 / .45); }
.sheet h2 { margin-bottom: .3rem; }
.sheet p { margin: 0 0 1rem; color: var(--soft); font-size: .95rem; }
label { display: block; font-size: .9rem; font-weight: 600; margin-bottom: .9rem; }
input { display: block; width: 100%; margin-top: .3rem; padding: .6rem .75rem; font: 1rem var(--sans); color: inherit; background: var(--paper); border: 1px solid var(--line); border-radius: 10px; }
.sheet .button { width: 100%; margin-top: .3rem; padding: .75rem; }
table { border-collapse: collapse; width: 100%; background: var(--card); border: 1px solid var(--line); border-radius: 14px; overflow: hidden; }
th, td { text-align: left; padding: .75rem 1rem; border-top: 1px solid var(--line); font-weight: 400; }
thead th { border-top: 0; color: var(--soft); font-size: .85rem; font-weight: 600; }
@media (max-width: 46rem) {
  .columns { grid-template-columns: 1fr; }
  .hero { grid-template-columns: 1fr; justify-items: start; }
  .hero .cover { width: 9.5rem; }
}
`;
