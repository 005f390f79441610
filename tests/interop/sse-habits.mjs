// What the EventSource of a browser does with answers: the table in docs/conformance.md, row by row. `SourceConfig::browser`
// does what Chromium does, so this says when that changes. Needs what sse-browser.mjs needs, but no server of ours.

import net from 'node:net';
import { once } from 'node:events';
import { Chromium, Firefox } from './lib/browsers.mjs';
import { assert, atEnd, check, finish, until } from './lib/harness.mjs';

const head = (status, ...fields) => `HTTP/1.1 ${status}\r\n${fields.map((field) => `${field}\r\n`).join('')}connection: close\r\n\r\n`;
const STREAM = 'content-type: text/event-stream';
const events = (body) => head('200 OK', STREAM) + body;
/** The first answer of most; what is asked then has this reconnection time and this ID. */
const first = events('retry: 100\nid: 1\ndata: a\n\n');
const to = (status) => head(`${status} Moved`, 'location: /other', 'content-length: 0');
const chunked = (body) => head('200 OK', STREAM, 'transfer-encoding: chunked') + body;
const GONE = Symbol('the listener is closed until the page has seen two errors');
const RESET = Symbol('the connection is reset without an answer');

// What is answered, one after the other; behind that, an event `z`, and the stream stays open. Then what both do, or each:
// the requests after the first one, each with the ID it names; and `closed`, or the data that was seen.
const again = [['/events 1'], 'a z'];
const gaveUp = [['/events 1'], 'closed'];
const habits = [
  ['the end of a body', [first], again],
  ['nobody there for a while', [first, GONE], again],
  ['a connection that is reset before it has answered', [first, RESET], [['/events 1', '/events 1'], 'a z']],
  ['a chunk that breaks off', [first, chunked('5\r\ndat')], [['/events 1', '/events 1'], 'a z']],
  ['a length that is none', [first, chunked('zz\r\ndata')], [['/events 1', '/events 1'], 'a z'], gaveUp],
  ['no HTTP', [first, 'hello\r\n\r\n'], [['/events 1', '/events 1'], 'a z'], gaveUp],
  ['half a head', [first, 'HTTP/1.1 200 OK\r\ncontent-ty'], gaveUp],
  ['204', [first, head('204 No Content')], gaveUp],
  ['503', [first, head('503 Busy', 'content-length: 0')], gaveUp],
  ['another type', [first, head('200 OK', 'content-type: text/html')], gaveUp],
  ['another charset', [head('200 OK', `${STREAM}; charset=iso-8859-1`) + 'retry: 100\ndata: é\n\n'],
    [[], 'closed'], [['/events -'], 'é z']],
  ['301, and then', [to(301), first], [['/other -', '/other 1'], 'a z']],
  ['307, and then', [to(307), first], [['/other -', '/other 1'], 'a z'], [['/other -', '/events 1'], 'a z']],
  ['an ID alone', [events('retry: 100\nid: 1\ndata: a\n\nid: 2\n\n')], [['/events 2'], 'a z'], again],
  ['an ID without the end of its block', [events('retry: 100\nid: 1\ndata: a\n\nid: 2\ndata: b\n')], again],
  ['an ID that is empty', [events('retry: 100\nid: 1\ndata: a\n\nid\ndata: b\n\n')], [['/events -'], 'a b z']],
  ['a zero in data', [events('retry: 100\nid: 1\ndata: a\0a\n\n')], [['/events 1'], 'a\0a z'], [['/events 1'], 'aa z']],
  ['an ID with a zero in it', [events('retry: 100\nid: 1\ndata: a\n\nid: 2\0\ndata: b\n\n')], [['/events 1'], 'a b z'], again],
];

async function follow(browser, answers) {
  const requests = [];
  const closing = [];
  const server = net.createServer((socket) => {
    let said = '';
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      said += bytes;
      if (!said.includes('\r\n\r\n')) return;
      const path = said.split(' ')[1];
      const id = /\r\nlast-event-id: *([^\r]*)\r\n/i.exec(said)?.[1] ?? '-';
      said = '';
      if (path === '/') return void socket.end(head('200 OK', 'content-type: text/html') + '<!doctype html>');
      if (path !== '/events' && path !== '/other') return void socket.end(head('404 Not Found'));
      requests.push(`${path} ${id}`);
      const answer = answers.shift();
      if (answer === RESET) return void socket.resetAndDestroy();
      if (answer === undefined) return void socket.write(events('data: z\n\n'));
      if (answers[0] === GONE) {
        answers.shift();
        closing.push(new Promise((closed) => server.close(closed)));
      }
      socket.end(answer);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  await browser.navigate(`http://127.0.0.1:${port}/`);
  await browser.evaluate(`(${() => {
    window.seen = [];
    window.errors = 0;
    window.source = new EventSource('/events');
    window.source.onmessage = (event) => window.seen.push(event.data);
    window.source.onerror = () => { window.errors += 1; };
  }})()`);
  const over = () => browser.evaluate('window.source.readyState === 2 || window.seen.includes("z")');
  try {
    await until('it is closed, or has come back', async () => {
      if (closing.length > 0 && await browser.evaluate('window.errors >= 2')) {
        await closing.pop();
        server.listen(port, '127.0.0.1');
      }
      return over();
    });
    const seen = await browser.evaluate('window.source.readyState === 2 ? "closed" : window.seen.join(" ")');
    return [requests.slice(1), seen];
  } finally {
    await browser.evaluate('window.source.close()');
    server.close();
  }
}

for (const [at, Browser] of [Chromium, Firefox].entries()) {
  if (Browser === Firefox && !process.env.FIREFOX) continue;
  const browser = await Browser.start(process.env.FIREFOX);
  atEnd(() => browser.stop());
  for (const [name, answers, ...what] of habits) {
    await check(`${Browser.name}: ${name}`, async () => {
      assert.deepEqual(await follow(browser, [...answers]), what[at] ?? what[0]);
    });
  }
}
await finish();
