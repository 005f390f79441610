// Chromium's EventSource against our event streams: what was encoded is what a page sees, and a server that is killed costs
// nothing and repeats nothing. Needs playwright-core and a Chromium (CHROMIUM, else /usr/bin/chromium).

import net from 'node:net';
import { once } from 'node:events';
import { chromium } from 'playwright-core';
import { assert, atEnd, check, finish, pause } from './lib/harness.mjs';
import { generated, typesOf } from './lib/generated.mjs';
import { startServer } from './lib/server.mjs';

const EVENTS = 500;

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  headless: true,
  args: ['--no-sandbox', '--disable-dev-shm-usage'],
});
atEnd(() => browser.close());
const page = await browser.newPage();

/** Opens an EventSource in the page; what it sees is kept there. */
async function follow(url, types) {
  // A page of the same origin: others may not reach into the local network.
  await page.goto(new URL('/generated.json?n=1', url).href);
  await page.evaluate(([url, types]) => {
    window.seen = [];
    window.opens = 0;
    window.source = new EventSource(url);
    window.source.onopen = () => { window.opens += 1; };
    for (const type of types) {
      window.source.addEventListener(type, (event) => window.seen.push({
        type: event.type, data: event.data, lastEventId: event.lastEventId,
      }));
    }
  }, [url, types]);
}

const count = () => page.evaluate(() => window.seen.length);

async function until(n, seconds = 40) {
  const end = Date.now() + seconds * 1000;
  while (await count() < n) {
    if (Date.now() > end) throw new Error(`only ${await count()} of ${n} events`);
    await pause(20);
  }
}

/** A relay in front of the server that keeps the heads of requests, and can cut its connections off. */
async function relay(target) {
  const heads = [];
  const sockets = new Set();
  const server = net.createServer((down) => {
    const up = net.connect(target());
    let head = '';
    down.on('data', (bytes) => {
      head += bytes.toString('latin1');
      if (head.includes('\r\n\r\n')) {
        heads.push(head);
        head = '';
      }
    });
    for (const socket of [down, up]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        sockets.delete(socket);
        down.destroy();
        up.destroy();
      });
    }
    down.pipe(up);
    up.pipe(down);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { heads, url: `http://127.0.0.1:${server.address().port}` };
}

let server = await startServer(['sse']);
atEnd(() => server.stop());
const target = () => ({ host: '127.0.0.1', port: Number(new URL(server.urls.sse).port) });

for (const seed of [1, 2]) {
  await check(`${EVENTS} generated events are seen as they were encoded (seed ${seed})`, async () => {
    const expected = await generated(server.urls.sse, EVENTS, seed);
    await follow(`${server.urls.sse}/generated?n=${EVENTS}&seed=${seed}`, typesOf(expected));
    await until(EVENTS);
    assert.deepEqual(await page.evaluate(() => window.seen), expected);
  }, { seconds: 60 });
}

await check('a server that is killed: each reconnect names the last event, nothing is missed or seen twice', async () => {
  const expected = await generated(server.urls.sse, EVENTS, 3);
  const { heads, url } = await relay(target);
  await follow(`${url}/generated?n=${EVENTS}&seed=3&every=4`, typesOf(expected));
  const named = [];
  for (const at of [100, 300]) {
    await until(at);
    await server.kill();
    await pause(100);
    named.push(await page.evaluate(() => window.seen.at(-1).lastEventId));
    server = await startServer(['sse']);
  }
  await until(EVENTS);
  assert.deepEqual(await page.evaluate(() => window.seen), expected);
  assert.ok(await page.evaluate(() => window.opens) >= 3);
  const streams = heads.filter((head) => head.startsWith('GET /generated?'));
  const ids = streams.map((head) => /\r\nlast-event-id: *([^\r]*)\r\n/i.exec(head)?.[1]);
  assert.equal(ids[0], undefined, 'the first request names no event');
  for (const id of named) assert.ok(ids.includes(id), `${id} is among ${ids}`);
}, { seconds: 90 });

await finish();
