// Other people's clients against the axum example: npm ws, npm eventsource and fetch over HTTP/1.1, Node's http2 by RFC 8441,
// and browsers over TLS with HTTP/2.
//
//   HYPER_EXAMPLE=target/debug/examples/axum CHROMIUM=chromium FIREFOX=firefox-esr node hyper.mjs
//
// Without FIREFOX, no Firefox. The last line is `N passed, N failed`.

import { EventSource } from 'eventsource';
import { once } from 'node:events';
import http2 from 'node:http2';
import { WebSocket } from 'ws';
import { Chromium, Firefox } from './lib/browsers.mjs';
import { assert, atEnd, check, finish, until, within } from './lib/harness.mjs';
import { Program, needed } from './lib/process.mjs';

// The example makes its certificate at each start.
process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
process.removeAllListeners('warning');

const CARRIERS = ['websocket', 'events', 'polling'];
const server = new Program(needed('HYPER_EXAMPLE', 'the axum example'), ['0']);
atEnd(async () => {
  server.child.kill('SIGINT');
  assert.deepEqual(await server.end(), { code: 0, signal: null });
});
const base = (await server.line()).replace(/\/$/, '');
const stats = async () => (await fetch(`${base}/stats`)).json();
const post = (path, body) => fetch(`${base}${path}`, { method: 'POST', body });

/** A frame with a mask of zeros. */
const frame = (first, payload) => Buffer.concat([Buffer.from([first, 0x80 | payload.length, 0, 0, 0, 0]), Buffer.from(payload)]);

/** Bytes of a stream, as they come. */
function reader(stream) {
  let all = Buffer.alloc(0);
  stream.on('data', (piece) => { all = Buffer.concat([all, piece]); });
  return async (n) => {
    await until(`${n} bytes, of which ${all.length} came`, () => all.length >= n);
    const taken = all.subarray(0, n);
    all = all.subarray(n);
    return taken;
  };
}

await check('npm ws, npm eventsource and fetch polling are in one room', async () => {
  const heard = { websocket: [], events: [], polling: [] };
  const socket = new WebSocket(`${base.replace('https', 'wss')}/ws`);
  socket.on('message', (data) => heard.websocket.push(String(data)));
  await once(socket, 'open');
  assert.match(socket.extensions, /permessage-deflate/);
  const source = new EventSource(`${base}/events`);
  source.onmessage = ({ data }) => heard.events.push(data);
  await within(10, 'the stream opens', new Promise((resolve) => { source.onopen = resolve; }));
  const { sid } = await (await post('/poll/open')).json();
  await until('all are in', async () => (await stats()).peers === 3);

  socket.send('from ws');
  await until('ws hears itself', () => heard.websocket.length === 1);
  assert.equal((await post('/say', 'from\nevents')).status, 204);
  await until('the stream hears both', () => heard.events.length === 2);
  const acked = await post(`/poll/${sid}`, JSON.stringify({ seq: 1, messages: ['from polling ü'] }));
  assert.deepEqual(await acked.json(), { ack: 1 });
  for (let after = 0; heard.polling.length < 3;) {
    const answer = await fetch(`${base}/poll/${sid}?after=${after}`);
    assert.equal(answer.status, 200);
    const { last, messages } = await answer.json();
    heard.polling.push(...messages);
    after = last;
  }
  await until('all have heard all', () => CARRIERS.every((carrier) => heard[carrier].length === 3));
  for (const carrier of CARRIERS) assert.deepEqual(heard[carrier], ['from ws', 'from\nevents', 'from polling ü'], carrier);

  const closed = once(socket, 'close');
  socket.close(1000, 'bye');
  assert.equal((await closed)[0], 1000);
  source.close();
  assert.equal((await fetch(`${base}/poll/${sid}`, { method: 'DELETE' })).status, 204);
  await until('all have left', async () => (await stats()).peers === 0);
});

await check('a long poll that its client gives up is served again', async () => {
  const { sid } = await (await post('/poll/open')).json();
  const giveUp = AbortSignal.timeout(200);
  await assert.rejects(fetch(`${base}/poll/${sid}?after=0`, { signal: giveUp }));
  await post('/say', 'still here');
  const { messages } = await (await fetch(`${base}/poll/${sid}?after=0`)).json();
  assert.deepEqual(messages, ['still here']);
  assert.equal((await fetch(`${base}/poll/${sid}`, { method: 'DELETE' })).status, 204);
});

await check("Node's http2 opens a WebSocket by extended CONNECT", async () => {
  const client = http2.connect(base);
  try {
    await once(client, 'remoteSettings');
    assert.equal(client.remoteSettings.enableConnectProtocol, true);
    const ask = async (headers) => {
      const stream = client.request({ ':method': 'CONNECT', ':protocol': 'websocket', ':path': '/ws', ...headers }, { endStream: false });
      const [answer] = await once(stream, 'response');
      return [answer, stream];
    };
    const before = await stats();
    const [answer, stream] = await ask({ 'sec-websocket-version': '13', origin: base });
    assert.equal(answer[':status'], 200);
    assert.equal(answer['sec-websocket-accept'], undefined);
    const read = reader(stream);
    stream.write(frame(0x01, 'Hel'));
    stream.write(frame(0x80, 'lo'));
    assert.equal((await read(7)).toString('latin1'), '\x81\x05Hello');
    const ended = once(stream, 'end');
    stream.write(frame(0x88, [3, 0xe8]));
    assert.equal((await read(4)).toString('latin1'), '\x88\x02\x03\xe8');
    await within(10, 'the stream ends', ended);
    stream.end();
    assert.equal((await stats()).connects, before.connects + 1);
    for (const [headers, status] of [
      [{ 'sec-websocket-version': '12' }, 426],
      [{ 'sec-websocket-version': '13', origin: 'https://other.example' }, 403],
      [{ 'sec-websocket-version': '13', ':protocol': 'connect-ip' }, 501],
    ]) {
      const [refused, other] = await ask(headers);
      assert.equal(refused[':status'], status);
      other.close();
    }
  } finally {
    client.close();
  }
});

/** What both browsers do: `evaluate` runs an expression in the page. */
async function room(evaluate) {
  const before = await stats();
  assert.equal(await evaluate("performance.getEntriesByType('navigation')[0].nextHopProtocol"), 'h2');
  const count = async (n) => JSON.parse(await evaluate(
    `JSON.stringify(Object.values(heard).every((texts) => texts.length === ${n}) && heard.websocket)`));
  await until('all are in', async () => (await stats()).peers === 3);
  for (const [n, carrier] of CARRIERS.entries()) {
    await evaluate(`void say.${carrier}('from ${carrier}')`);
    await until(`${n + 1} texts are heard in all`, () => count(n + 1));
  }
  const heard = JSON.parse(await evaluate('JSON.stringify(heard)'));
  for (const carrier of CARRIERS) assert.deepEqual(heard[carrier], CARRIERS.map((from) => `from ${from}`), carrier);
  return before;
}

const overHttp2 = (name, start, seconds) => check(`${name}: WebSocket, EventSource and polling over one connection of HTTP/2`, async () => {
  const browser = await start();
  try {
    const before = await stats();
    await browser.navigate(`${base}/`);
    await room((expression) => browser.evaluate(expression));
    const after = await stats();
    assert.deepEqual([after.connects - before.connects, after.upgrades - before.upgrades], [1, 0], 'the WebSocket is a stream of HTTP/2');
  } finally {
    await browser.stop();
  }
  await until('all have left', async () => (await stats()).peers === 0, 60);
}, { seconds });

await overHttp2('Chromium', () => Chromium.start(), 120);
if (process.env.FIREFOX) await overHttp2('Firefox', () => Firefox.start(process.env.FIREFOX), 180);

await finish();
