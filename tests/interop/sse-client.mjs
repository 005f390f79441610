// Our event source against Node's HTTP server: redirections, statuses, framings, bytes that are no UTF-8, servers that die.

import http from 'node:http';
import { once } from 'node:events';
import { assert, atEnd, check, finish, pause } from './lib/harness.mjs';
import { generated } from './lib/generated.mjs';
import { Program, needed } from './lib/process.mjs';
import { startServer } from './lib/server.mjs';

const CLIENT = needed('INTEROP_SSE_CLIENT', 'the path of the program sse-client');
const STREAM = { 'content-type': 'text/event-stream' };

/** A server that answers each request with the next of `answers`; the last one answers all others, too. */
async function serve(...answers) {
  const requests = [];
  const server = http.createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (text) => { body += text; }).on('end', () => {
      requests.push({ path: request.url, method: request.method, headers: request.headers, body });
      answers[Math.min(requests.length, answers.length) - 1](response, request);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(() => server.close(() => {}) && server.closeAllConnections());
  return { url: `http://127.0.0.1:${server.address().port}`, requests };
}

const gone = (response) => response.writeHead(204).end();
const sends = (...pieces) => async (response) => {
  response.writeHead(200, STREAM);
  for (const piece of pieces) {
    response.write(piece);
    await pause(5);
  }
  response.end();
};
const breaks = (text) => (response) => {
  response.writeHead(200, STREAM);
  response.write(text, () => setTimeout(() => response.destroy(), 20));
};
const redirects = (status, location) => (response) => response.writeHead(status, { location }).end();

/** All that the client says, until it ends. */
async function follow(url, ...args) {
  const program = new Program(CLIENT, [url, '--backoff', '0', ...args]);
  const { code } = await program.ended;
  return { code, said: program.lines.map((line) => JSON.parse(line)) };
}

const events = (said) => said.filter(({ kind }) => kind === 'event').map(({ type, data, lastEventId }) => ({ type, data, lastEventId }));
const kinds = (said) => said.map(({ kind }) => kind);

for (const browser of [[], ['--browser']]) {
  const way = browser.length ? 'as a browser' : 'as a program';

  await check(`a stream, its end, the next one, 204 (${way})`, async () => {
    const server = await serve(sends('retry: 100\nid: 1\ndata: a\n\n', 'data: b\n\ndata: lost'), sends('data: c\n\n'), gone);
    const { code, said } = await follow(`${server.url}/s?x`, ...browser);
    assert.equal(code, 0);
    assert.deepEqual(events(said), ['a', 'b', 'c'].map((data) => ({ type: 'message', data, lastEventId: '1' })));
    assert.deepEqual(kinds(said), ['open', 'event', 'event', 'lost', 'open', 'event', 'lost', 'closed']);
    assert.deepEqual(server.requests.map(({ path, headers }) => [path, headers['last-event-id']]), [['/s?x', undefined], ['/s?x', '1'], ['/s?x', '1']]);
    assert.equal(server.requests[0].headers.accept, 'text/event-stream');
    assert.equal(server.requests[0].headers['cache-control'], 'no-cache');
  });

  await check(`a connection that breaks in an event (${way})`, async () => {
    const server = await serve(breaks('retry: 100\nid: é€\ndata: a\n\nid: 2\ndata: half'), sends('data: b\n\n'), gone);
    const { said } = await follow(server.url, ...browser);
    assert.deepEqual(events(said).map(({ data }) => data), ['a', 'b']);
    assert.equal(said.find(({ kind }) => kind === 'lost').why, 'Broken');
    assert.equal(Buffer.from(server.requests[1].headers['last-event-id'], 'latin1').toString(), 'é€');
  });

  await check(`a status that ends it, and a type that does (${way})`, async () => {
    for (const answer of [(r) => r.writeHead(404).end('x'), (r) => r.writeHead(201, STREAM).end('data: x\n\n'),
      (r) => r.writeHead(200, { 'content-type': 'text/plain' }).end('data: x\n\n'), (r) => r.writeHead(200).end('data: x\n\n')]) {
      const server = await serve(answer);
      const { code, said } = await follow(server.url, ...browser);
      assert.deepEqual([code, kinds(said), server.requests.length], [1, ['error'], 1]);
    }
  });

  await check(`what Node cuts anywhere, and what is no UTF-8 (${way})`, async () => {
    const bytes = Buffer.concat([Buffer.from('\ufeffdata: é😀\r\ndata:'), Buffer.from([0xff, 0xf0, 0x9f]), Buffer.from('\r\n\r\nretry:100\n\n')]);
    const server = await serve(sends(...[...bytes].map((byte) => Buffer.from([byte]))), gone);
    const { said } = await follow(server.url, ...browser);
    assert.deepEqual(events(said), [{ type: 'message', data: 'é😀\n\ufffd\ufffd', lastEventId: '' }]);
  });
}

await check('redirections: credentials go to nobody else', async () => {
  const other = await serve(sends('retry: 100\ndata: x\n\n'));
  const first = await serve(redirects(302, '/next'), redirects(307, `${other.url}/there`), gone);
  const { said } = await follow(`${first.url}/s`, '--header', 'Authorization: Bearer secret', '--header', 'X-Key: secret');
  assert.deepEqual(events(said).map(({ data }) => data), ['x']);
  assert.deepEqual(first.requests.map(({ path, headers }) => [path, headers.authorization]),
    [['/s', 'Bearer secret'], ['/next', 'Bearer secret'], ['/s', 'Bearer secret']]);
  assert.deepEqual([other.requests[0].path, other.requests[0].headers.authorization, other.requests[0].headers['x-key']], ['/there', undefined, undefined]);
});

await check('a server that is overloaded is asked later, a browser does not', async () => {
  const busy = (response) => response.writeHead(503, { 'retry-after': '1' }).end('busy');
  const server = await serve(busy, sends('retry: 100\ndata: x\n\n'), gone);
  const { code, said } = await follow(server.url);
  assert.deepEqual([code, said[0].why, said[0].wait], [0, 'Status(503)', 3000]);
  assert.deepEqual(events(said).map(({ data }) => data), ['x']);
  const again = await serve(busy);
  assert.equal((await follow(again.url, '--browser')).code, 1);
  assert.equal(again.requests.length, 1);
});

await check('a POST is answered once', async () => {
  const server = await serve(sends('data: a\n\n', 'data: b\n\n'));
  const { code, said } = await follow(server.url, '--post', '{"q":1}', '--header', 'content-type: application/json');
  assert.deepEqual([code, events(said).map(({ data }) => data)], [0, ['a', 'b']]);
  assert.deepEqual(server.requests.map(({ method, body, headers }) => [method, body, headers['content-type']]), [['POST', '{"q":1}', 'application/json']]);
});

await check('a server that falls silent is left; comments are life', async () => {
  const silent = (response) => {
    response.writeHead(200, STREAM);
    response.write('retry: 100\n\n');
    let n = 0;
    const timer = setInterval(() => {
      n += 1;
      if (n < 10) response.write(':\n');
      else clearInterval(timer);
    }, 100);
  };
  const server = await serve(silent, gone);
  const { said } = await follow(server.url, '--idle', '500');
  assert.deepEqual(said.map(({ kind, why }) => why ?? kind), ['open', 'Silent', 'closed']);
});

await check('nobody is there: it gives up when it is told to', async () => {
  const server = http.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  const { code, said } = await follow(`http://127.0.0.1:${port}/`, '--attempts', '0');
  assert.deepEqual([code, said[0].error], [1, 'GaveUp { attempts: 1, why: Broken }']);
});

await check('our own server, killed twice: nothing is missed or seen twice', async () => {
  let server = await startServer(['sse']);
  const expected = await generated(server.urls.sse, 400, 9);
  const target = () => Number(new URL(server.urls.sse).port);
  const front = http.createServer((request, response) => {
    const up = http.request({ host: '127.0.0.1', port: target(), path: request.url, headers: request.headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
      answer.on('error', () => response.destroy());
    });
    up.on('error', () => response.destroy());
    up.end();
  }).listen(0, '127.0.0.1');
  await once(front, 'listening');
  const program = new Program(CLIENT, [`http://127.0.0.1:${front.address().port}/generated?n=400&seed=9&every=4`, '--backoff', '0']);
  try {
    const seen = [];
    while (seen.length < expected.length) {
      const said = JSON.parse(await program.line(20));
      if (said.kind === 'event') seen.push({ type: said.type, data: said.data, lastEventId: said.lastEventId });
      if ([80, 250].includes(seen.length) && said.kind === 'event') {
        await server.kill();
        server = await startServer(['sse']);
      }
    }
    assert.deepEqual(seen, expected);
  } finally {
    await program.kill();
    front.close();
    front.closeAllConnections();
    await server.stop();
  }
}, { seconds: 60 });

await finish();
