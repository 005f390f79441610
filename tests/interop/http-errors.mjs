// Plain sockets that say what no proper client says, to our HTTP/1.1 server: interop-server, keys `sse` and `ws`.
// An event stream on another connection goes on the whole time, and a subscriber of /live sees nothing that
// was smuggled in.

import { assert, atEnd, check, finish, pause } from './lib/harness.mjs';
import { Raw } from './lib/raw.mjs';
import { services } from './lib/server.mjs';

const urls = await services('sse', 'ws');
const base = urls.sse;
const HOST = 'Host: 127.0.0.1\r\n';

// ---- the two that watch -------------------------------------------------------------------------------------

const stream = await Raw.to(base);
stream.write(`GET /stream?n=1000000&every=20 HTTP/1.1\r\n${HOST}\r\n`);
let tick = 0;
async function streamFlows() {
  // Two more ticks than before, in order: one may have lain in a buffer already.
  for (let i = 0; i < 2; i += 1) await stream.through(`data: ${(tick += 1)}\n`);
  stream.bytes = Buffer.from(stream.bytes); // let go of what was read
}
const live = await Raw.to(base);
live.write(`GET /live HTTP/1.1\r\n${HOST}\r\n`);
await live.through('retry');
atEnd(async () => {
  const raw = await Raw.to(base);
  raw.write(`POST /publish?id=the-end HTTP/1.1\r\n${HOST}Content-Length: 7\r\n\r\nthe-end`);
  await raw.response();
  const all = (await live.through('data: the-end\n')).toString('utf8');
  for (const each of [raw, live, stream]) each.destroy();
  assert.ok(!all.includes('smuggled'), 'something was smuggled in');
});

/** The answer to `bytes` on a connection of its own. */
async function answerTo(bytes, { seconds = 10, to = base, bodiless } = {}) {
  const raw = await Raw.to(to);
  raw.write(bytes);
  const answer = await raw.response({ seconds, bodiless });
  return { raw, ...answer };
}

const SMUGGLED = `POST /publish HTTP/1.1\r\n${HOST}Content-Length: 8\r\n\r\nsmuggled`;

/** `bytes` are refused with one of `statuses`, and nothing that stands behind them is answered any more. */
async function refused(bytes, ...statuses) {
  const raw = await Raw.to(base);
  raw.write(bytes, SMUGGLED);
  const { status, headers } = await raw.response();
  assert.ok(statuses.includes(status), `status ${status}, expected ${statuses.join(' or ')}`);
  assert.deepEqual(headers.connection?.map((value) => value.toLowerCase()), ['close']);
  const rest = await raw.ended(10, { orReset: true });
  assert.equal(rest.toString('latin1'), '', 'one answer, then the end');
  raw.destroy();
  await streamFlows();
}

// Slow by nature, so it runs beside the others.
const slowHead = (async () => {
  const raw = await Raw.to(base);
  raw.write(`GET /once HTTP/1.1\r\n${HOST}`);
  const answer = await raw.response({ seconds: 40 });
  await raw.ended(10);
  raw.destroy();
  return answer;
})();
const dripping = (async () => {
  // A byte now and then resets nothing: the head as a whole has a deadline.
  const raw = await Raw.to(base);
  raw.write(`GET /once HTTP/1.1\r\n${HOST}X: `);
  const answer = raw.response({ seconds: 40 });
  let isOver = false;
  answer.finally(() => {
    isOver = true;
  }).catch(() => {});
  while (!isOver) {
    raw.write('x');
    await pause(500);
  }
  raw.destroy();
  return answer;
})();
for (const beside of [slowHead, dripping]) beside.catch(() => {}); // reported where it is awaited

// ---- what is right works ------------------------------------------------------------------------------------

await check('keep-alive: one connection, many requests', async () => {
  const raw = await Raw.to(base);
  for (let i = 0; i < 20; i += 1) {
    raw.write(`POST /publish HTTP/1.1\r\n${HOST}Content-Length: 2\r\n\r\nok`);
    const first = await raw.response();
    assert.ok(first.status >= 200 && first.status < 300, `publish: ${first.status}`);
    raw.write(`GET /nothing/here HTTP/1.1\r\n${HOST}\r\n`);
    assert.equal((await raw.response()).status, 404);
  }
  raw.destroy();
});

await check('pipelining: 200 requests in one segment, 200 answers in order', async () => {
  const raw = await Raw.to(base);
  const one = `POST /publish HTTP/1.1\r\n${HOST}Content-Length: 2\r\n\r\nokGET /nothing HTTP/1.1\r\n${HOST}\r\n`;
  raw.write(one.repeat(100));
  for (let i = 0; i < 100; i += 1) {
    const { status } = await raw.response();
    assert.ok(status >= 200 && status < 300, `answer ${2 * i}: ${status}`);
    assert.equal((await raw.response()).status, 404, `answer ${2 * i + 1}`);
  }
  raw.destroy();
});

await check('a request in single bytes is a request', async () => {
  const raw = await Raw.to(base);
  for (const byte of Buffer.from(`\r\nPOST /publish HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n`)) {
    raw.write(Buffer.from([byte]));
    await pause(1);
  }
  const { status } = await raw.response();
  assert.ok(status >= 200 && status < 300, `status ${status}`);
  raw.destroy();
});

await check('a chunked body with extensions and trailers is one body', async () => {
  const watcher = await Raw.to(base);
  watcher.write(`GET /live HTTP/1.1\r\n${HOST}\r\n`);
  await watcher.through('retry');
  await pause(50);
  const { raw, status } = await answerTo(`POST /publish?id=chunked HTTP/1.1\r\n${HOST}transfer-encoding: Chunked\r\n\r\n` +
    '3;name=value;quoted="a\\"b"\r\nwhole\r\n'.replace('whole', 'who') + '00002\r\nle\r\n0\r\nTrailer: ignored\r\n\r\n');
  assert.ok(status >= 200 && status < 300, `status ${status}`);
  await watcher.through('data: whole\n');
  raw.destroy();
  watcher.destroy();
});

await check('Expect: 100-continue is answered before the body', async () => {
  const raw = await Raw.to(base);
  raw.write(`POST /publish HTTP/1.1\r\n${HOST}Expect: 100-continue\r\nContent-Length: 2\r\n\r\n`);
  assert.equal((await raw.response()).status, 100);
  raw.write('ok');
  const { status } = await raw.response();
  assert.ok(status >= 200 && status < 300, `status ${status}`);
  raw.destroy();
});

await check('HEAD is answered without a body', async () => {
  const raw = await Raw.to(base);
  raw.write(`HEAD /nothing HTTP/1.1\r\n${HOST}\r\n`, `GET /nothing HTTP/1.1\r\n${HOST}\r\n`);
  assert.equal((await raw.response({ bodiless: true })).status, 404);
  assert.equal((await raw.response()).status, 404, 'the next answer follows the head at once');
  raw.destroy();
});

await check('Connection: close is obeyed', async () => {
  const { raw, status, headers } = await answerTo(`GET /nothing HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`);
  assert.equal(status, 404);
  assert.deepEqual(headers.connection?.map((value) => value.toLowerCase()), ['close']);
  await raw.ended();
  raw.destroy();
});

await check('HTTP/1.0 gets an answer without chunks, and the end', async () => {
  const { raw, status, headers, body } = await answerTo('GET /once HTTP/1.0\r\n\r\n');
  assert.equal(status, 200);
  assert.equal(headers['transfer-encoding'], undefined);
  assert.match(body, /id: ?2\n/);
  await raw.ended();
  raw.destroy();
});

await check('the absolute form of a target is understood', async () => {
  const { raw, status } = await answerTo(`GET ${base}/once HTTP/1.1\r\n${HOST}\r\n`);
  assert.equal(status, 200);
  raw.destroy();
});

await check('a client that says its last word first still gets its answer', async () => {
  const raw = await Raw.to(base);
  raw.write(`GET /nothing HTTP/1.1\r\n${HOST}\r\n`).finish();
  assert.equal((await raw.response()).status, 404);
  raw.destroy();
});

// ---- status by status ---------------------------------------------------------------------------------------

await check('404: no such path', async () => {
  for (const path of ['/nothing', '/', '/streams', '/stream/', '/%00', '/%2e%2e/', '/?x', '/ONCE']) {
    const { raw, status } = await answerTo(`GET ${path} HTTP/1.1\r\n${HOST}\r\n`);
    assert.equal(status, 404, path);
    raw.destroy();
  }
});

for (const [method, path] of [['POST', '/stream?n=1'], ['PUT', '/publish'], ['GET', '/publish'], ['DELETE', '/live'], ['BREW', '/once']]) {
  await check(`405: ${method} ${path}, with Allow`, async () => {
    const { raw, status, headers } = await answerTo(`${method} ${path} HTTP/1.1\r\n${HOST}Content-Length: 0\r\n\r\n`);
    assert.equal(status, 405);
    assert.match(headers.allow?.[0] ?? '', path === '/publish' ? /POST/ : /GET/);
    raw.destroy();
    await streamFlows();
  });
}

await check('411: a body whose length nobody tells', () => refused(`POST /publish HTTP/1.1\r\n${HOST}\r\n`, 411));

await check('413: a body that is too large, told by its length', () =>
  refused(`POST /publish HTTP/1.1\r\n${HOST}Content-Length: 100000000\r\n\r\n`, 413));

await check('413: a body that is too large, found out by its chunks', async () => {
  const raw = await Raw.to(base);
  raw.write(`POST /publish HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n`);
  const chunk = `1000\r\n${'s'.repeat(4096)}\r\n`;
  for (let i = 0; i < 2_000 && raw.bytes.length === 0 && !raw.isEnded; i += 1) {
    raw.write(chunk);
    await pause(0);
  }
  assert.equal((await raw.response()).status, 413);
  await raw.ended(10, { orReset: true });
  raw.destroy();
  await streamFlows();
});

await check('414: a request line that is too long', () =>
  refused(`GET /${'a'.repeat(20_000)} HTTP/1.1\r\n${HOST}\r\n`, 414));

await check('414: a request line without an end', () => refused(`GET /${'a'.repeat(200_000)}`, 414));

await check('411: a POST that does not say how long it is', () => refused(`POST /publish HTTP/1.1\r\n${HOST}\r\n`, 411));

await check('417: an expectation of something else', () =>
  refused(`POST /publish HTTP/1.1\r\n${HOST}Expect: miracles\r\nContent-Length: 2\r\n\r\nok`, 417));

await check('426: the WebSocket service asked without an upgrade', async () => {
  const { raw, status, headers } = await answerTo(`GET / HTTP/1.1\r\n${HOST}\r\n`, { to: urls.ws });
  assert.equal(status, 426);
  assert.match(headers.upgrade?.[0] ?? '', /websocket/i);
  raw.destroy();
});

await check('431: a header that is too long', () =>
  refused(`GET /once HTTP/1.1\r\n${HOST}X: ${'x'.repeat(20_000)}\r\n\r\n`, 431));

await check('431: headers without an end', () => refused(`GET /once HTTP/1.1\r\n${HOST}${'X: y\r\n'.repeat(50_000)}`, 431));

await check('431: too many headers', () => refused(`GET /once HTTP/1.1\r\n${HOST}${'X: y\r\n'.repeat(200)}\r\n`, 431));

for (const coding of ['gzip', 'gzip, chunked', 'xchunked', 'identity', 'chunked, identity']) {
  await check(`501: Transfer-Encoding: ${coding}`, () =>
    refused(`POST /publish HTTP/1.1\r\n${HOST}Transfer-Encoding: ${coding}\r\n\r\n0\r\n\r\n`, 501, 400));
}

for (const version of ['HTTP/2.0', 'HTTP/0.9', 'HTTP/3.7']) {
  await check(`505: ${version}`, () => refused(`GET /once ${version}\r\n${HOST}\r\n`, 505));
}

// ---- smuggling: every doubt about where a request ends is refused -------------------------------------------

const post = (headers, body = '') => `POST /publish HTTP/1.1\r\n${HOST}${headers}\r\n${body}`;
for (const [name, bytes, ...statuses] of [
  ['both lengths', post('Content-Length: 8\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'), 400],
  ['both lengths, the other way round', post('Transfer-Encoding: chunked\r\nContent-Length: 3\r\n', '0\r\n\r\n'), 400],
  ['two equal lengths', post('Content-Length: 2\r\nContent-Length: 2\r\n', 'ok'), 400],
  ['two different lengths', post('Content-Length: 2\r\nContent-Length: 0\r\n', 'ok'), 400],
  ['a list of lengths', post('Content-Length: 2, 2\r\n', 'ok'), 400],
  ['a length with a sign', post('Content-Length: +2\r\n', 'ok'), 400],
  ['a negative length', post('Content-Length: -2\r\n', 'ok'), 400],
  ['a length in hexadecimal', post('Content-Length: 0x2\r\n', 'ok'), 400],
  ['a length with a space inside', post('Content-Length: 0 2\r\n', 'ok'), 400],
  ['an empty length', post('Content-Length:\r\n'), 400],
  ['a length beyond 64 bits', post('Content-Length: 18446744073709551618\r\n', 'ok'), 400, 413],
  ['Transfer-Encoding twice', post('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'), 400, 501],
  ['chunked twice', post('Transfer-Encoding: chunked, chunked\r\n', '0\r\n\r\n'), 400, 501],
  ['chunked after a vertical tab', post('Transfer-Encoding: \vchunked\r\n', '0\r\n\r\n'), 400, 501],
  ['chunked in quotes', post('Transfer-Encoding: "chunked"\r\n', '0\r\n\r\n'), 400, 501],
  ['chunked in HTTP/1.0', `POST /publish HTTP/1.0\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 400],
  ['a space before the colon', post('Content-Length : 2\r\n', 'ok'), 400],
  ['a tab before the colon', post('Transfer-Encoding\t: chunked\r\n', '0\r\n\r\n'), 400],
  ['a folded header', post('X: y\r\n Content-Length: 2\r\nContent-Length: 2\r\n', 'ok'), 400],
  ['a folded value', post('Content-Length:\r\n 2\r\n', 'ok'), 400],
  ['space before the first header', `POST /publish HTTP/1.1\r\n Content-Length: 2\r\n${HOST}\r\nok`, 400],
  ['a line that ends with LF alone', `POST /publish HTTP/1.1\n${HOST}Content-Length: 2\r\n\r\nok`, 400],
  ['a header that ends with LF alone', post('X: y\nContent-Length: 2\r\n', 'ok'), 400],
  ['a CR alone in a value', post('X: y\rContent-Length: 2\r\n'), 400],
  ['a NUL in a value', post('X: y\0\r\nContent-Length: 2\r\n', 'ok'), 400],
  ['a NUL in a name', post('Content-Length\0: 2\r\n', 'ok'), 400],
  ['a name without a colon', post('Content-Length\r\n'), 400],
  ['an empty name', post(': 2\r\n'), 400],
  ['no Host', 'GET /once HTTP/1.1\r\n\r\n', 400],
  ['two Hosts', `GET /once HTTP/1.1\r\n${HOST}Host: other\r\n\r\n`, 400],
  ['a Host with a space', 'GET /once HTTP/1.1\r\nHost: a b\r\n\r\n', 400],
  ['two spaces in the request line', `GET  /once HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['a tab in the request line', `GET\t/once HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['a space in the target', `GET /once x HTTP/1.1\r\n${HOST}\r\n`, 400, 505],
  ['a request line without a version', `GET /once\r\n${HOST}\r\n`, 400, 505],
  ['a version in lower case', `GET /once http/1.1\r\n${HOST}\r\n`, 400, 505],
  ['a version of two digits', `GET /once HTTP/1.10\r\n${HOST}\r\n`, 400, 505],
  ['a method that is no token', `G(T /once HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['no request at all', '\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003\r\n\r\n', 400],
  ['a chunk size in 0x', post('Transfer-Encoding: chunked\r\n', '0x2\r\nok\r\n0\r\n\r\n'), 400],
  ['a chunk size with a sign', post('Transfer-Encoding: chunked\r\n', '+2\r\nok\r\n0\r\n\r\n'), 400],
  ['a negative chunk size', post('Transfer-Encoding: chunked\r\n', '-2\r\nok\r\n0\r\n\r\n'), 400],
  ['no chunk size', post('Transfer-Encoding: chunked\r\n', '\r\nok\r\n0\r\n\r\n'), 400],
  ['a chunk size that is no number', post('Transfer-Encoding: chunked\r\n', 'g\r\nok\r\n0\r\n\r\n'), 400],
  ['a chunk size beyond 64 bits', post('Transfer-Encoding: chunked\r\n', '10000000000000002\r\nok\r\n0\r\n\r\n'), 400, 413],
  ['a chunk size that ends with LF alone', post('Transfer-Encoding: chunked\r\n', '2\nok\r\n0\r\n\r\n'), 400],
  ['a chunk extension with LF alone', post('Transfer-Encoding: chunked\r\n', '2;x\nok\r\n0\r\n\r\n'), 400],
  ['a chunk that is longer than it says', post('Transfer-Encoding: chunked\r\n', '1\r\nok\r\n0\r\n\r\n'), 400],
  ['a chunk that ends with LF alone', post('Transfer-Encoding: chunked\r\n', '2\r\nok\n0\r\n\r\n'), 400],
  ['a trailer that is no header', post('Transfer-Encoding: chunked\r\n', '2\r\nok\r\n0\r\nno colon here\r\n\r\n'), 400],
  ['a trailer that ends with LF alone', post('Transfer-Encoding: chunked\r\n', '2\r\nok\r\n0\r\nA: b\n\r\n'), 400],
]) {
  await check(`${name}: ${statuses.join(' or ')}, then the end`, () => refused(bytes, ...statuses));
}

await check('what is refused in one segment is refused in single bytes', async () => {
  for (const bytes of [
    post('Content-Length: 2\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'),
    post('Transfer-Encoding: chunked\r\n', '2\r\nok\n0\r\n\r\n'),
    post('X: y\r\n fold\r\nContent-Length: 2\r\n', 'ok'),
  ]) {
    const raw = await Raw.to(base);
    for (const byte of Buffer.from(bytes)) {
      if (raw.bytes.length > 0 || raw.isEnded) break;
      raw.write(Buffer.from([byte]));
      await pause(1);
    }
    assert.equal((await raw.response()).status, 400);
    await raw.ended(10, { orReset: true });
    raw.destroy();
  }
});

// ---- people who never finish --------------------------------------------------------------------------------

await check('300 connections that never finish their head hold up nobody', async () => {
  const idle = [];
  for (let i = 0; i < 300; i += 1) {
    const raw = await Raw.to(base);
    raw.write(i % 2 ? `GET /once HTTP/1.1\r\n${HOST}` : '');
    idle.push(raw);
  }
  const { raw, status } = await answerTo(`GET /once HTTP/1.1\r\n${HOST}\r\n`);
  assert.equal(status, 200);
  raw.destroy();
  await streamFlows();
  for (const each of idle) each.destroy();
});

await check('a body that never comes holds up nobody, and its end is noticed', async () => {
  const raw = await Raw.to(base);
  raw.write(`POST /publish HTTP/1.1\r\n${HOST}Content-Length: 8\r\n\r\nsmug`).finish();
  const rest = await raw.ended(15, { orReset: true });
  assert.ok(rest.length === 0 || /^HTTP\/1\.1 4\d\d /.test(rest.toString('latin1')), rest.toString('latin1'));
  raw.destroy();
  await streamFlows();
});

await check('408: a head that never ends', async () => {
  assert.equal((await slowHead).status, 408);
}, { seconds: 60 });

await check('408: a head that drips', async () => {
  assert.equal((await dripping).status, 408);
}, { seconds: 60 });

await check('the stream beside all that never stopped', streamFlows);

await finish();
