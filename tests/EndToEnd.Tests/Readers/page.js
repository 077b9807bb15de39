// A browser at a daemon's page. Writes what it has seen as JSON.
//
// node page.js watch URL GUEST: follows one migration to its end; writes a line first when it has seen it on the way.
// node page.js read URL: what the page says now.
// node page.js many URL GUESTS: the page with that many guests, made up from an answer of the daemon.
const fs = require('node:fs');
const path = require('node:path');
const { chromium } = require('playwright-core');
const { PNG } = require('pngjs');

const DEADLINE_MS = 60_000;
const PATHS = ['missing', 'urgent', 'push', 'zero', 'mixed', 'sent'];

/** Where a program is; the browser is started by its path. */
function onPath(program) {
  return process.env.PATH.split(':').map((folder) => path.join(folder, program)).find((file) => fs.existsSync(file));
}

/** A page, and what went wrong on it: console errors, failed requests, requests to anywhere else. */
async function open(browser, url) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, colorScheme: 'light' });
  const page = await context.newPage();
  page.setDefaultTimeout(DEADLINE_MS);
  const seen = { errors: [], origins: new Set(), dialogs: 0 };
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && seen.errors.push(message.text()));
  page.on('pageerror', (error) => seen.errors.push(String(error)));
  page.on('requestfailed', (request) => seen.errors.push(`${request.url()}: ${request.failure()?.errorText}`));
  page.on('request', (request) => seen.origins.add(new URL(request.url()).origin));
  page.on('dialog', (dialog) => { seen.dialogs++; return dialog.dismiss(); });
  return { page, seen };
}

/** What the page says of the newest migration and of a guest, at one moment. */
function read(page, guest) {
  return page.evaluate(({ name, paths }) => {
    const text = (element) => element?.textContent.trim() ?? null;
    const card = document.querySelector('details.migration');
    const row = [...document.querySelectorAll('#guests tbody tr')].find((one) => one.dataset.guest === name);
    const canvas = card?.querySelector('canvas');
    return {
      node: text(document.querySelector('#node-name')),
      link: text(document.querySelector('#link')),
      guest: row ? Object.fromEntries([...row.querySelectorAll('[data-cell]')].map((cell) => [cell.dataset.cell, text(cell)])) : null,
      spark: row?.querySelector('.spark path')?.getAttribute('d') ?? '',
      state: text(card?.querySelector('.state')),
      route: text(card?.querySelector('.route')),
      reason: text(card?.querySelector('.reason')),
      percent: text(card?.querySelector('.percent')),
      figures: card ? Object.fromEntries([...card.querySelectorAll('[data-figure]')].map((one) => [one.dataset.figure, text(one)])) : null,
      cells: card
        ? Object.fromEntries(paths.map((path) => [path, Number(card.querySelector(`.legend [data-path="${path}"]`).dataset.count ?? 0)]))
        : null,
      label: canvas?.getAttribute('aria-label') ?? null,
      histogram: [...(card?.querySelectorAll('.histogram .count') ?? [])].map((one) => Number(text(one).replaceAll(',', ''))),
      tags: [...new Set([...document.querySelectorAll('main *')].map((one) => one.localName))],
    };
  }, { name: guest, paths: PATHS });
}

/** Which part of a picture of the map is in each colour, and which part has to be by what the daemon says of the pages. */
async function look(page, id) {
  const canvas = page.locator('details.migration canvas').first();
  await canvas.scrollIntoViewIfNeeded();
  for (let attempt = 0; ; attempt++) {
    const drawn = () => page.evaluate(() => Number(document.querySelector('details.migration canvas').dataset.pages));
    const before = await drawn();
    const picture = PNG.sync.read(await canvas.screenshot());
    const map = await page.evaluate(async (path) => (await fetch(path)).json(), `/api/migrations/${id}/map`);
    const pages = map.pages.reduce((sum, one) => sum + one, 0);
    const { colours, size } = await page.evaluate((paths) => {
      const style = getComputedStyle(document.documentElement);
      return {
        colours: Object.fromEntries(paths.map((path) => [path, style.getPropertyValue(`--${path}`).trim()])),
        size: Number(document.querySelector('details.migration canvas').dataset.cell),
      };
    }, PATHS);
    // What arrives between the picture and the answer is in one of them only.
    if ((pages !== before || pages !== await drawn()) && attempt < 60) {
      continue;
    }

    return { pages, painted: painted(picture, colours), expected: expected(map, size), pixels: picture.width * picture.height };
  }
}

function painted(picture, colours) {
  const count = Object.fromEntries(PATHS.map((path) => [path, 0]));
  const wanted = PATHS.map((path) => [path, [1, 3, 5].map((at) => parseInt(colours[path].slice(at, at + 2), 16))]);
  for (let at = 0; at < picture.data.length; at += 4) {
    const hit = wanted.find(([, rgb]) => rgb.every((value, channel) => Math.abs(value - picture.data[at + channel]) <= 4));
    if (hit) {
      count[hit[0]]++;
    }
  }

  return count;
}

function expected(map, size) {
  const names = { u: 'urgent', p: 'push', z: 'zero', m: 'mixed', s: 'sent' };
  const count = Object.fromEntries(PATHS.map((path) => [path, 0]));
  map.pages.forEach((pages, block) => {
    const filled = pages === 0 ? 0 : Math.max(1, Math.round((size * pages) / map.pagesPerBlock));
    count.missing += size * (size - filled);
    if (filled > 0) {
      count[names[map.paths[block]]] += size * filled;
    }
  });
  return count;
}

async function watch(page, guest) {
  const card = page.locator('details.migration').first();
  await page.locator(`#guests tbody tr[data-guest="${guest}"]`).waitFor();
  await card.waitFor();
  const id = await card.getAttribute('data-migration');
  await page.waitForFunction(() => {
    const cells = (path) => Number(document.querySelector(`details.migration .legend [data-path="${path}"]`).dataset.count);
    return cells('urgent') + cells('mixed') > 0 && cells('missing') > 0;
  });
  await page.waitForFunction((name) => document.querySelector(`#guests tr[data-guest="${name}"] .spark path`).getAttribute('d').length > 0, guest);
  const during = { ...await read(page, guest), picture: await look(page, id) };
  process.stdout.write('halfway\n');
  await page.waitForFunction(() => document.querySelector('details.migration .state').textContent === 'completed'
    && document.querySelector('details.migration .legend [data-path="missing"]').dataset.count === '0');
  const after = { ...await read(page, guest), picture: await look(page, id) };
  const shot = await page.screenshot();
  await page.emulateMedia({ colorScheme: 'dark' });
  // Redrawn by an event of the change.
  await page.waitForFunction(() => matchMedia('(prefers-color-scheme: dark)').matches);
  const dark = { picture: await look(page, id), back: corner(await page.screenshot()) };
  await card.locator('canvas').focus();
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('ArrowRight');
  const cell = await card.locator('.cell').textContent();
  return { id, during, after, light: { back: corner(shot) }, dark, cell };
}

/** The brightness of the page's edge below its head, from 0 to 255. */
function corner(shot) {
  const picture = PNG.sync.read(shot);
  const at = 4 * (picture.width * (picture.height - 4) + 4);
  return (picture.data[at] + picture.data[at + 1] + picture.data[at + 2]) / 3;
}

async function many(page, url, guests) {
  await page.route('**/api/state', async (route) => {
    const state = await (await route.fetch()).json();
    const one = state.guests[0];
    state.guests = Array.from({ length: guests }, (_, i) => ({ ...one, name: `guest-${i}`, state: i % 2 ? 'running' : 'paused' }));
    await route.fulfill({ json: state });
  });
  await page.reload();
  await page.locator('#guests tbody tr').nth(guests - 1).waitFor();
  const rows = await page.locator('#guests tbody tr').count();
  await page.locator('#filter').fill('running');
  const filtered = await page.locator('#guests tbody tr').count();
  await page.locator('#filter').fill('');
  await page.locator('th button[data-sort="name"]').click();
  const last = await page.locator('#guests tbody tr').first().getAttribute('data-guest');
  const wide = await page.evaluate(() => document.documentElement.scrollWidth <= document.documentElement.clientWidth);
  // One that is under way when the browser closes would end in an error that nobody catches.
  await page.unrouteAll({ behavior: 'ignoreErrors' });
  return { rows, filtered, last, wide };
}

async function main([mode, url, argument]) {
  // No sandbox: it needs what containers do not grant, and all that is opened is the daemon under test.
  const browser = await chromium.launch({ executablePath: onPath('chromium'), args: ['--no-sandbox', '--disable-gpu'] });
  try {
    const { page, seen } = await open(browser, url);
    const response = await page.goto(url, { waitUntil: 'load' });
    await page.waitForFunction(() => document.querySelector('#link').textContent === 'up to date');
    let result;
    if (mode === 'watch') {
      result = await watch(page, argument);
    } else if (mode === 'many') {
      result = await many(page, url, Number(argument));
    } else {
      await page.locator('details.migration').first().waitFor();
      result = await read(page, '');
    }

    if (process.env.PICTURE) {
      await page.screenshot({ path: process.env.PICTURE, fullPage: true });
    }

    process.stdout.write(JSON.stringify({
      ...result, errors: seen.errors, origins: [...seen.origins], dialogs: seen.dialogs, headers: response.headers(),
    }));
  } finally {
    await browser.close();
  }
}

main(process.argv.slice(2)).catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exitCode = 1;
});
