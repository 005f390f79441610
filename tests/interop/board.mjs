// The firmware of adapters/embedded/examples/board: npm ws, npm eventsource, and its page in Chromium.
//
//   node board.mjs http://127.0.0.1:PORT LIMIT [PICTURE]
//
// LIMIT is the largest message of its echo; PICTURE is where a picture of the page goes.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EventSource } from 'eventsource';
import { chromium } from 'playwright-core';
import { assert, atEnd, check, finish, pause, within } from './lib/harness.mjs';
import { Peer } from './lib/peer.mjs';

const url = process.argv[2];
const limit = Number(process.argv[3]);
const picture = process.argv[4];
const ws = url.replace('http', 'ws');

await check('npm ws: messages of all sizes, both kinds', async () => {
  const peer = await Peer.connect(`${ws}/echo`);
  for (const size of [0, 1, 125, 126, 1000, limit]) {
    peer.send('x'.repeat(size));
    assert.deepEqual(await peer.next(), { kind: 'text', data: 'x'.repeat(size) });
    peer.send(Buffer.alloc(size, 7));
    const { kind, data } = await peer.next();
    assert.equal(kind, 'binary');
    assert.ok(data.equals(Buffer.alloc(size, 7)));
  }
  assert.equal((await peer.close(1000, 'bye')).code, 1000);
});

await check('npm ws: 500 messages in a row come back in order', async () => {
  const peer = await Peer.connect(`${ws}/echo`);
  for (let i = 0; i < 500; i += 1) peer.send(`message ${i}`);
  for (let i = 0; i < 500; i += 1) assert.equal((await peer.next()).data, `message ${i}`);
  await peer.close();
});

await check('npm ws: a message above the limit is refused with 1009', async () => {
  const peer = await Peer.connect(`${ws}/echo`);
  peer.send('x'.repeat(limit + 1));
  const end = await peer.next();
  assert.deepEqual([end.kind, end.code], ['close', 1009]);
});

await check('npm ws: a page of another host is not let in', async () => {
  await assert.rejects(Peer.connect(`${ws}/live`, [], { origin: 'http://elsewhere.example' }), /403/);
});

await check('npm eventsource: each reading once', async () => {
  const source = new EventSource(`${url}/events`);
  const numbers = [];
  await within(10, 'five readings', new Promise((resolve) => {
    source.onmessage = (event) => {
      assert.equal(event.lastEventId, String(JSON.parse(event.data).n));
      if (numbers.push(JSON.parse(event.data).n) === 5) resolve();
    };
  }));
  source.close();
  assert.deepEqual(numbers, numbers.map((_, i) => numbers[0] + i));
});

const profile = await mkdtemp(join(tmpdir(), 'stillwire-board-'));
atEnd(() => rm(profile, { recursive: true, force: true, maxRetries: 5 }));
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  headless: true,
  viewport: { width: 800, height: 480 },
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});
atEnd(() => browser.close());

await check('Chromium: the page shows live values over all three', async () => {
  const page = browser.pages()[0] ?? await browser.newPage();
  const complaints = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  await page.goto(`${url}/`);
  assert.equal(await page.locator('h1').textContent(), 'stillwire on a microcontroller');
  const readings = async (row) => Number(await page.locator(`#${row} td`).nth(1).textContent());
  const value = (row, least) => page.waitForFunction(([id, n]) =>
    Number(document.getElementById(id).cells[1].textContent) > n, [row, least], { timeout: 20_000 });
  for (const row of ['sse', 'ws', 'poll']) await value(row, 0);
  const first = await Promise.all(['sse', 'ws', 'poll'].map(readings));
  for (const [i, row] of ['sse', 'ws', 'poll'].entries()) await value(row, first[i] + 3);
  await page.waitForFunction(() => document.getElementById('echo').textContent === 'hello, board', null, { timeout: 10_000 });
  for (const row of ['sse', 'ws', 'poll']) {
    assert.match(await page.locator(`#${row} td`).nth(4).textContent(), /^\d\d\.\d\d °C$/);
  }
  if (picture) await page.screenshot({ path: picture });
  assert.deepEqual(complaints, []);
});

await check('Chromium leaves, and its slots are free again', async () => {
  await browser.pages()[0].goto('about:blank');
  for (let taken = 6; taken > 0; await pause(200)) {
    taken = (await (await fetch(`${url}/stats`, { headers: { connection: 'close' } })).json()).taken - 1;
  }
}, { seconds: 20 });

await finish();
