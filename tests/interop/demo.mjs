// The demo page in a real browser: starts `stillwire serve`, opens the page in headless Chromium, and does what a person
// would do, with the keyboard too; then takes the server away and brings it back.
//
//   node demo.mjs [--binary target/release/stillwire] [--screenshot DIR]
//
// Needs playwright-core and a Chromium (CHROMIUM, else /usr/bin/chromium). The last line is `N passed, N failed`.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';

const { values: options } = parseArgs({
  options: {
    binary: { type: 'string', default: resolve(import.meta.dirname, '../../target/release/stillwire') },
    screenshot: { type: 'string' },
  },
});
const TRANSPORTS = ['polling', 'events', 'websocket'];
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];
const WITHIN = 20_000; // ms that anything may take on a busy machine

let passed = 0;
let failed = 0;

/// One named check: it passes if `work` neither throws nor answers false.
async function check(name, work) {
  try {
    if (await work() === false) throw new Error('it is not so');
    passed += 1;
    console.log(`ok    ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL  ${name}: ${String(error.message).split('\n').slice(0, 3).join(' ')}`);
  }
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/// Starts the server and waits until it answers.
async function serve(port) {
  const child = spawn(options.binary, ['serve', '--port', String(port)], { stdio: ['ignore', 'inherit', 'inherit'] });
  const dead = new Promise((_, fail) => {
    child.once('error', fail);
    child.once('exit', (code, signal) => fail(new Error(`the server ended: ${code ?? signal}`)));
  });
  dead.catch(() => {});
  const answers = async () => {
    for (const end = Date.now() + WITHIN; Date.now() < end; await new Promise((r) => setTimeout(r, 50))) {
      if (await fetch(`http://127.0.0.1:${port}/`).then((a) => a.text().then(() => a.ok), () => false)) return;
    }
    throw new Error('the server does not answer');
  };
  await Promise.race([answers(), dead]).catch((error) => {
    child.kill('SIGKILL');
    throw error;
  });
  return child;
}

async function stop(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}

const port = await freePort();
const profile = await mkdtemp(join(tmpdir(), 'stillwire-demo-'));
if (options.screenshot) await mkdir(options.screenshot, { recursive: true });
let server;
let context;

try {
  server = await serve(port);
  context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    args: FLAGS,
    viewport: { width: 1280, height: 800 },
    colorScheme: 'light',
  });
  const page = context.pages()[0] ?? await context.newPage();
  page.setDefaultTimeout(WITHIN);

  // Console errors and requests to elsewhere are faults; a lost network is none while the server is away.
  let away = false;
  const complaints = [];
  const strangers = [];
  page.on('console', (message) => {
    const expected = away && /net::ERR_|WebSocket connection to|Failed to load resource/.test(message.text());
    if (message.type() === 'error' && !expected) complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('request', (request) => {
    if (!request.url().startsWith(`http://127.0.0.1:${port}/`) && !request.url().startsWith('data:')) strangers.push(request.url());
  });

  const pane = (transport) => page.locator(`.pane[data-transport=${transport}]`);
  const part = (transport, role) => pane(transport).locator(`[data-role=${role}]`);
  const all = (status) => Promise.all(TRANSPORTS.map((transport) =>
    page.locator(`.pane[data-transport=${transport}][data-status=${status}]`).waitFor()));
  /// `text` is to be seen in each pane, once, with the name of the transport that it was sent over.
  const heard = async (text, via) => {
    for (const transport of TRANSPORTS) {
      const item = part(transport, 'messages').locator('li', { hasText: text });
      await item.first().waitFor();
      if (await item.count() !== 1) throw new Error(`${transport} shows it ${await item.count()} times`);
      const shown = await item.locator('[data-via]').getAttribute('data-via');
      if (shown !== via) throw new Error(`${transport} shows it as sent over ${shown}`);
    }
  };
  const figures = () => page.evaluate(() => [...document.querySelectorAll('[data-metric]')].map((cell) =>
    [`${cell.dataset.transport} ${cell.dataset.metric}`, Number(cell.textContent.replaceAll(',', ''))]));
  const setRate = (rate) => page.locator('#rate').fill(String(rate));
  const shoot = async (name) => {
    if (options.screenshot) await page.screenshot({ path: join(options.screenshot, `${name}.png`) });
  };

  await page.goto(`http://127.0.0.1:${port}/`);
  await check('the page says what it is', async () => (await page.title()).includes('stillwire')
    && await page.locator('h1').textContent() === 'stillwire');
  await check('all three panes come live', () => all('live'));

  for (const transport of TRANSPORTS) {
    await check(`a message written over ${transport} appears in all three`, async () => {
      await part(transport, 'input').fill(`hello over ${transport}`);
      await part(transport, 'send').click();
      await heard(`hello over ${transport}`, transport);
    });
  }
  await check('each pane measures its own messages only', async () => {
    for (const transport of TRANSPORTS) await pane(transport).locator(`li:has([data-via=${transport}]) .took`).first().waitFor();
    return await page.locator('.took').count() === TRANSPORTS.length;
  });
  await check('the code under each pane is there', async () => {
    for (const [transport, word] of [['polling', 'fetch'], ['events', 'EventSource'], ['websocket', 'WebSocket']]) {
      const details = pane(transport).locator('details');
      await details.locator('summary').click();
      if (!(await details.locator('pre').innerText()).includes(word)) return false;
      await details.locator('summary').click();
    }
    return true;
  });

  await check('the slider makes each pane send', async () => {
    await setRate(20);
    const before = await page.evaluate(() => structuredClone(window.stillwire.tests));
    await page.waitForTimeout(3_500);
    const after = await page.evaluate(() => structuredClone(window.stillwire.tests));
    for (const transport of TRANSPORTS) {
      const grown = after[transport] - before[transport];
      if (grown < 20) throw new Error(`${transport} received ${grown} test messages`);
    }
  });
  await check('every figure is a number above 0', async () => {
    // A figure may lag a second behind; a WebSocket sends no further requests after its first.
    const wrong = async () => (await figures()).filter(([name, value]) =>
      name === 'websocket requests' ? !(value >= 0) : !(value > 0));
    for (const end = Date.now() + WITHIN; (await wrong()).length && Date.now() < end;) await page.waitForTimeout(250);
    console.log(`      ${(await figures()).map((pair) => pair.join(' ')).join(', ')}`);
    const left = await wrong();
    if (left.length) throw new Error(left.map((pair) => pair.join(' ')).join(', '));
  });
  await check('the lists show no test messages', async () =>
    await part('websocket', 'messages').locator('li').count() === TRANSPORTS.length);

  if (options.screenshot) await page.waitForTimeout(15_000); // the charts fill
  await page.mouse.move(640, 5);
  await shoot('demo-light');
  await page.emulateMedia({ colorScheme: 'dark' });
  await page.waitForTimeout(300);
  await shoot('demo-dark');
  await page.emulateMedia({ colorScheme: 'light' });
  await page.setViewportSize({ width: 390, height: 844 });
  await page.waitForTimeout(300);
  await shoot('demo-phone');
  for (const width of [360, 1400]) {
    await check(`nothing is wider than a window of ${width} px`, async () => {
      await page.setViewportSize({ width, height: 800 });
      return page.evaluate(() => document.documentElement.scrollWidth <= innerWidth);
    });
  }
  await page.setViewportSize({ width: 1280, height: 800 });
  await setRate(0);

  await check('a message with quotes, markup and other scripts arrives as it was written', async () => {
    const text = `<b>"it's"</b> \\ Ελλάς \u{1f600}`;
    await part('polling', 'input').fill(text);
    await part('polling', 'send').click();
    await heard(text, 'polling');
  });
  await check('with reduced motion the wire is still', async () => {
    await page.emulateMedia({ reducedMotion: 'reduce' });
    await setRate(50);
    const pictures = new Set();
    for (let i = 0; i < 8; i += 1) {
      await page.waitForTimeout(100);
      pictures.add(await page.locator('.wire').first().evaluate((canvas) => canvas.toDataURL()));
    }
    await setRate(0);
    await page.emulateMedia({ reducedMotion: 'no-preference' });
    return pictures.size === 1;
  });
  await check('what the page cannot read is ignored', async () => {
    const bad = ['no json', 'null', '[]', '7', '{"from":"elsewhere","id":"a","text":"intruder"}',
      '{"from":"events","id":7,"text":"intruder"}', JSON.stringify({ from: 'events', id: 'x'.repeat(50), text: 'intruder' })];
    for (const body of bad) await fetch(`http://127.0.0.1:${port}/say`, { method: 'POST', body });
    await part('websocket', 'input').fill('after the nonsense');
    await part('websocket', 'send').click();
    await heard('after the nonsense', 'websocket');
    return await page.getByText('intruder').count() === 0;
  });

  await check('the keyboard alone is enough', async () => {
    await page.evaluate(() => { document.activeElement.blur(); scrollTo(0, 0); });
    for (const transport of TRANSPORTS) {
      const focused = () => page.evaluate(() => {
        const { activeElement: it } = document;
        return `${it.closest('.pane')?.dataset.transport} ${it.dataset.role}`;
      });
      for (let tabs = 0; await focused() !== `${transport} input`; tabs += 1) {
        if (tabs > 20) throw new Error(`Tab does not reach the input of ${transport}`);
        await page.keyboard.press('Tab');
      }
      if (await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle) === 'none') {
        throw new Error('the focus cannot be seen');
      }
      await page.keyboard.type(`keys over ${transport}`);
      await page.keyboard.press('Enter');
      await heard(`keys over ${transport}`, transport);
    }
  });

  await check('all three panes say that the server is gone', async () => {
    away = true;
    await stop(server);
    await all('gone');
    for (const transport of TRANSPORTS) {
      await pane(transport).getByText('server gone').waitFor();
      await pane(transport).getByText('reconnecting').waitFor();
    }
    await shoot('demo-gone');
  });
  await check('a message written meanwhile is kept', async () => {
    await part('polling', 'input').fill('written while it was gone');
    await part('polling', 'input').press('Enter');
    await pane('polling').getByText('1 to be sent').waitFor();
  });
  await page.waitForTimeout(2_000);
  server = await serve(port);
  await check('all three come back by themselves', () => all('live'));
  away = false;
  // Only who was back before it was sent hears it: the room keeps no history.
  await check('what was written meanwhile arrives', () =>
    part('polling', 'messages').locator('li', { hasText: 'written while it was gone' }).waitFor());
  for (const transport of TRANSPORTS) {
    await check(`a message over ${transport} reaches all again`, async () => {
      await part(transport, 'input').fill(`again over ${transport}`);
      await part(transport, 'input').press('Enter');
      await heard(`again over ${transport}`, transport);
    });
  }
  await check('the page asked nobody but the server', () => {
    if (strangers.length) throw new Error(strangers.join(' '));
  });
  await check('no error in the console', () => {
    if (complaints.length) throw new Error(complaints.join(' | '));
  });
} catch (error) {
  failed += 1;
  console.log(`FAIL  the run: ${error.stack}`);
} finally {
  await context?.close();
  if (server) await stop(server);
  await rm(profile, { recursive: true, force: true });
}

console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed ? 1 : 0;
