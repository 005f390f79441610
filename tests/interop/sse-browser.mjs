// The EventSource of browsers against our event streams: what was encoded is what a page sees, and a server that is killed
// costs nothing and repeats nothing. Needs playwright-core, a Chromium (CHROMIUM, else /usr/bin/chromium) and a Firefox
// (FIREFOX; without it, none). sse-habits.mjs is about what they do with answers that are not ours.

import net from 'node:net';
import { once } from 'node:events';
import { Chromium, Firefox } from './lib/browsers.mjs';
import { assert, atEnd, check, finish, pause, until } from './lib/harness.mjs';
import { generated, typesOf } from './lib/generated.mjs';
import { startServer } from './lib/server.mjs';

const EVENTS = 500;

const PAGE = 'HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 15\r\n\r\n<!doctype html>';

/** A relay in front of the server that keeps the heads of requests, and ends with what it relays. It has a page, `/`. */
async function relay(target) {
  const heads = [];
  const sockets = new Set();
  const server = net.createServer((down) => {
    const up = net.connect(target());
    let head = '';
    down.on('data', (bytes) => {
      head += bytes.toString('latin1');
      if (head.includes('\r\n\r\n')) {
        if (head.startsWith('GET / ')) down.write(PAGE);
        else up.write(head, 'latin1');
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

/** Opens an EventSource in the page; what it sees is kept there. */
async function follow(browser, url, types) {
  // A page of the same origin: others may not reach into the local network.
  await browser.navigate(new URL('/', url).href);
  await browser.evaluate(`(${(url, types) => {
    window.seen = [];
    window.opens = 0;
    window.source = new EventSource(url);
    window.source.onopen = () => { window.opens += 1; };
    for (const type of types) {
      window.source.addEventListener(type, (event) => window.seen.push({
        type: event.type, data: event.data, lastEventId: event.lastEventId,
      }));
    }
  }})(${JSON.stringify(url)}, ${JSON.stringify(types)})`);
}

const value = async (browser, expression) => JSON.parse(await browser.evaluate(`JSON.stringify(${expression})`));

async function seen(browser, n) {
  await until(`${n} events`, async () => await value(browser, 'window.seen.length') >= n, 60);
  return value(browser, 'window.seen');
}

/** What the encoder was given; of that, Firefox leaves zeros out (HTML 9.2.6 does not), and nothing else. */
async function expectedIn(name, seed) {
  const events = await generated(server.urls.sse, EVENTS, seed);
  if (name !== 'Firefox') return events;
  return events.map((event) => ({ ...event, data: event.data.replaceAll('\0', '') }));
}

async function run(name, browser) {
  for (const seed of [1, 2]) {
    await check(`${name}: ${EVENTS} generated events are seen as they were encoded (seed ${seed})`, async () => {
      const expected = await expectedIn(name, seed);
      const { url } = await relay(target);
      await follow(browser, `${url}/generated?n=${EVENTS}&seed=${seed}`, typesOf(expected));
      assert.deepEqual(await seen(browser, EVENTS), expected);
    }, { seconds: 60 });
  }

  await check(`${name}: a server that is killed: each reconnect names the last event, nothing is missed or seen twice`, async () => {
    const expected = await expectedIn(name, 3);
    const { heads, url } = await relay(target);
    await follow(browser, `${url}/generated?n=${EVENTS}&seed=3&every=4`, typesOf(expected));
    const named = [];
    for (const at of [100, 300]) {
      await seen(browser, at);
      await server.kill();
      await pause(100);
      named.push(await value(browser, 'window.seen.at(-1).lastEventId'));
      server = await startServer(['sse']);
    }
    assert.deepEqual(await seen(browser, EVENTS), expected);
    assert.ok(await value(browser, 'window.opens') >= 3);
    const streams = heads.filter((head) => head.startsWith('GET /generated?'));
    const ids = streams.map((head) => /\r\nlast-event-id: *([^\r]*)\r\n/i.exec(head)?.[1]);
    assert.equal(ids[0], undefined, 'the first request names no event');
    for (const id of named) assert.ok(ids.includes(id), `${id} is among ${ids}`);
  }, { seconds: 120 });
}

for (const [name, Browser] of [['Chromium', Chromium], ['Firefox', Firefox]]) {
  if (Browser === Firefox && !process.env.FIREFOX) continue;
  const browser = await Browser.start(process.env.FIREFOX);
  atEnd(() => browser.stop());
  await run(name, browser);
}
await finish();
