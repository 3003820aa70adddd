import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { root } from '../../support/ostria.ts';

const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(
  (path) => existsSync(path),
);
const children: ChildProcess[] = [];

function start(program: string, env: Record<string, string>): Promise<string> {
  const child = spawn(process.execPath, [join(root, 'samples', 'bookinfo', 'src', `${program}.ts`)], {
    env: { ...process.env, PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  return new Promise((resolve, reject) => {
    let text = '';
    child.stdout?.on('data', (chunk) => {
      text += chunk;
      const url = /listens on (\S+)/.exec(text)?.[1];
      if (url) resolve(url);
    });
    child.once('exit', (code) => reject(new Error(`${program} ended with ${code}`)));
  });
}

describe.skipIf(!executablePath)('the product page in a browser (skipped where there is no Chromium)', () => {
  let browser: Browser;
  let page: string;

  beforeAll(async () => {
    const [details, ratings] = await Promise.all([start('details', {}), start('ratings', {})]);
    const reviews = await start('reviews', {
      RATINGS_URL: ratings,
      ENABLE_RATINGS: 'true',
      STAR_COLOR: 'red',
    });
    page = `${await start('productpage', { DETAILS_URL: details, REVIEWS_URL: reviews })}/productpage`;
    browser = await chromium.launch({ executablePath: executablePath ?? '', args: ['--no-sandbox'] });
  });
  afterAll(async () => {
    await browser?.close();
    for (const child of children) child.kill('SIGKILL');
  });

  test.each([320, 768, 1440])(
    'fits a window %i pixels wide and loads nothing from elsewhere',
    async (width) => {
      const tab = await browser.newPage({ viewport: { width, height: 900 } });
      const elsewhere: string[] = [];
      const problems: string[] = [];
      tab.on('request', (request) => {
        if (!request.url().startsWith(new URL(page).origin) && !request.url().startsWith('data:'))
          elsewhere.push(request.url());
      });
      tab.on('pageerror', (error) => problems.push(error.message));
      tab.on('console', (message) => {
        if (message.type() === 'error') problems.push(message.text());
      });
      await tab.goto(page);
      expect(await tab.title()).toBe('The Comedy of Errors · Bookinfo');
      expect(await tab.evaluate('document.documentElement.scrollWidth <= window.innerWidth')).toBe(true);
      expect(await tab.locator('[data-color=red]').count()).toBe(2);
      expect({ elsewhere, problems }).toEqual({ elsewhere: [], problems: [] });
      await tab.close();
    },
  );

  test('signing in and out', async () => {
    const tab = await browser.newPage();
    await tab.goto(page);
    await tab.getByRole('button', { name: 'Sign in' }).click();
    await tab.getByLabel('User name').fill('jason');
    await tab.getByLabel('Password').fill('anything');
    await tab.locator('#sign-in button').click();
    await tab.waitForURL(page);
    expect(await tab.locator('.who').textContent()).toContain('jason');
    await tab.getByRole('link', { name: 'Sign out' }).click();
    await tab.getByRole('button', { name: 'Sign in' }).waitFor();
    await tab.close();
  });
});
