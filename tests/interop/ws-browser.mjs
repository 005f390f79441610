// Browsers against our WebSocket server: messages of many sizes, text and binary, compressed both ways. Needs playwright-core,
// a Chromium (CHROMIUM, else /usr/bin/chromium) and a Firefox (FIREFOX; without it, none).

import http from 'node:http';
import { once } from 'node:events';
import { Chromium, Firefox } from './lib/browsers.mjs';
import { assert, atEnd, check, finish } from './lib/harness.mjs';
import { asWebSocket, services } from './lib/server.mjs';

const SIZES = [0, 1, 125, 126, 127, 1000, 65535, 65536, 1 << 20, 16 << 20];
const urls = await services('ws');

// A page of our own: others may not reach into the local network.
const page = http.createServer((_, answer) => answer.setHeader('content-type', 'text/html').end('<!doctype html><title>ws</title>'));
page.listen(0, '127.0.0.1');
await once(page, 'listening');
atEnd(() => new Promise((done) => {
  page.closeAllConnections();
  page.close(done);
}));

/** What runs in the page: each message must come back as it was sent. */
async function echo(url, sizes) {
  const socket = new WebSocket(url, ['unknown', 'echo']);
  socket.binaryType = 'arraybuffer';
  const next = (type) => new Promise((resolve, reject) => {
    socket[`on${type}`] = resolve;
    socket.onclose = (event) => reject(new Error(`closed: ${event.code}`));
  });
  await next('open');
  const seen = { extensions: socket.extensions, protocol: socket.protocol, same: [] };
  for (const size of sizes) {
    // Half of it noise, which does not shrink; a 32-bit generator, because the one for secrets is slow.
    const bytes = new Uint8Array(size);
    for (let i = 0, x = size + 1; i < size; i += 1) {
      x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
      bytes[i] = i & 4096 ? x >>> 24 : i & 63;
    }
    const text = 'grüße €😀 '.repeat(Math.ceil(size / 17)).slice(0, Math.floor(size / 2)).replace(/[\ud800-\udbff]$/, '');
    for (const message of [bytes, text]) {
      const answer = next('message');
      socket.send(message);
      const { data } = await answer;
      seen.same.push(typeof message === 'string' ? data === message
        : data.byteLength === size && new Uint8Array(data).every((byte, i) => byte === bytes[i]));
    }
  }
  const closed = new Promise((resolve) => { socket.onclose = resolve; });
  socket.close(4000, 'done');
  const { code, reason, wasClean } = await closed;
  return JSON.stringify({ ...seen, code, reason, wasClean });
}

async function run(browser) {
  try {
    await browser.navigate(`http://127.0.0.1:${page.address().port}/`);
    const said = await browser.evaluate(`(${echo})(${JSON.stringify(asWebSocket(urls.ws))}, ${JSON.stringify(SIZES)})`);
    assert.deepEqual(JSON.parse(said), {
      extensions: 'permessage-deflate',
      protocol: 'echo',
      same: SIZES.flatMap(() => [true, true]),
      code: 4000,
      reason: '', // the code is said back, not the reason
      wasClean: true,
    });
  } finally {
    await browser.stop();
  }
}

await check('Chromium: every size, compressed', async () => run(await Chromium.start()), { seconds: 180 });
if (process.env.FIREFOX) {
  await check('Firefox: every size, compressed', async () => run(await Firefox.start(process.env.FIREFOX)), { seconds: 180 });
}
await finish();
