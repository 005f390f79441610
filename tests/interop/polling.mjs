// `fetch` as the client, our polling protocol as the peer: interop-server, key `polling` (echo; base path /poll).
// Every promise of the protocol is tried as a client on a bad network would: replies lost, requests doubled.

import { randomBytes } from 'node:crypto';
import { assert, check, finish, pause } from './lib/harness.mjs';
import { Raw } from './lib/raw.mjs';
import { services } from './lib/server.mjs';

const { polling } = await services('polling');
const base = `${polling}/poll`;

/** One request; the answer's status, and its body as JSON if there is one. */
async function ask(method, path, body, { signal } = {}) {
  const answer = await fetch(base + path, {
    method,
    body: body === undefined || typeof body === 'string' ? body : JSON.stringify(body),
    signal: signal ?? AbortSignal.timeout(40_000),
  });
  const text = await answer.text();
  let json = null;
  try {
    json = JSON.parse(text);
  } catch {
    // an error page need not be JSON
  }
  return { status: answer.status, json, text, headers: answer.headers };
}

async function is(status, promise) {
  const answer = await promise;
  assert.equal(answer.status, status, `${answer.status}: ${answer.text}`);
  return answer;
}

/** A session as a client holds it. */
class Session {
  static async open() {
    const session = new Session();
    const { json } = await is(200, ask('POST', '/open'));
    session.limits = json;
    session.path = `/${json.sid}`;
    session.sent = 0;
    session.seen = 0;
    return session;
  }

  /**
   * Posts, and counts on; `at` is the number of the first message when it is not the next one. While the other end has
   * not taken in what came before, the answer is 413 with Retry-After, and the client tries again.
   */
  async post(messages, at = this.sent + 1) {
    let answer = await ask('POST', this.path, { seq: at, messages });
    for (let tries = 0; answer.status === 413 && answer.headers.has('retry-after') && tries < 100; tries += 1) {
      await pause(50);
      answer = await ask('POST', this.path, { seq: at, messages });
    }
    assert.equal(answer.status, 200, answer.text);
    this.sent = Math.max(this.sent, at + messages.length - 1);
    assert.equal(answer.json.ack, this.sent);
  }

  poll(after = this.seen, options) {
    return ask('GET', `${this.path}?after=${after}`, undefined, options);
  }

  /** Receives `count` messages, in as many answers as it takes. */
  async take(count) {
    const all = [];
    while (all.length < count) {
      const { json } = await is(200, this.poll());
      assert.equal(json.last, this.seen + json.messages.length);
      assert.ok(json.messages.length > 0, 'an answer without messages is a 204');
      this.seen = json.last;
      all.push(...json.messages);
    }
    assert.equal(all.length, count);
    return all;
  }

  end() {
    return ask('DELETE', this.path);
  }
}

/** `body` with a session of its own, ended afterwards. */
async function withSession(body) {
  const session = await Session.open();
  await body(session);
  await is(204, session.end());
}

/** How many numbers, from `first`. */
const counted = (first, count) => Array.from({ length: count }, (_, i) => `message ${first + i}`);

// The slowest checks run beside the others; each is asserted where its name stands.
const waiting = (async () => {
  const session = await Session.open();
  const start = Date.now();
  const answer = await session.poll();
  return { session, answer, took: Date.now() - start };
})();
const abandoned = (async () => {
  const session = await Session.open();
  await session.post(['nobody will read this']);
  const statuses = [];
  for (let i = 0; i < 25; i += 1) {
    await pause(1_000);
    // A POST is no receiver and keeps no session alive; a doubled one changes nothing.
    const { status } = await ask('POST', session.path, { seq: 1, messages: ['nobody will read this'] });
    statuses.push(status);
    if (status === 404) break;
  }
  return statuses;
})();
for (const beside of [waiting, abandoned]) beside.catch(() => {}); // reported where it is awaited

// ---- the everyday -------------------------------------------------------------------------------------------

await check('opening tells the session and its limits', async () => {
  const { json, headers } = await is(200, ask('POST', '/open'));
  assert.match(json.sid, /^[A-Za-z0-9_-]{22}$/);
  assert.deepEqual([json.wait_ms, json.max_bytes, json.max_messages], [25_000, 65_536, 64]);
  assert.match(headers.get('content-type'), /^application\/json/);
  const other = await is(200, ask('POST', '/open'));
  assert.notEqual(other.json.sid, json.sid);
  for (const { sid } of [json, other.json]) await ask('DELETE', `/${sid}`);
});

await check('what is posted comes back, in order', () => withSession(async (session) => {
  await session.post(['one', 'two']);
  await session.post(['three']);
  assert.deepEqual(await session.take(3), ['one', 'two', 'three']);
}));

await check('every text comes back as it was', () => withSession(async (session) => {
  const texts = [
    '', ' ', 'é€😀', '\u0000\u0001\u001f', '"\\/\b\f\n\r\t', '\u2028\u2029', '\ufeffbom', '{"a":[1,null]}', '],"closed":{', ',\n',
    '{"b64":"AA=="}', '\u{10ffff}', 'x'.repeat(10_000),
  ];
  await session.post(texts);
  assert.deepEqual(await session.take(texts.length), texts);
}));

await check('every escape of JSON means what JSON says', () => withSession(async (session) => {
  await is(200, ask('POST', session.path, String.raw`{ "seq" : 1 , "messages" : [ "\u00e9\u20ac\ud83d\ude00" , "\"\\\/\b\f\n\r\t" ] }`));
  assert.deepEqual(await session.take(2), ['é€😀', '"\\/\b\f\n\r\t']);
}));

await check('binary messages stay binary', () => withSession(async (session) => {
  const all = [0, 1, 2, 3, 4, 255, 10_000].map((size) => ({ b64: randomBytes(size).toString('base64') }));
  await session.post([...all, 'and text']);
  assert.deepEqual(await session.take(all.length + 1), [...all, 'and text']);
}));

await check('a waiting receiver is answered as soon as there is something', () => withSession(async (session) => {
  const receiver = session.poll();
  await pause(200);
  await session.post(['now']);
  const { json } = await is(200, receiver);
  assert.deepEqual(json, { last: 1, messages: ['now'] });
}));

await check('2,000 messages in both directions, each once and in order', () => withSession(async (session) => {
  const receiving = session.take(2_000);
  for (let i = 0; i < 40; i += 1) await session.post(counted(i * 50, 50));
  assert.deepEqual(await receiving, counted(0, 2_000));
}), { seconds: 60 });

await check('30 sessions at once do not mix', () => Promise.all(Array.from({ length: 30 }, (_, n) => withSession(async (session) => {
  for (let i = 0; i < 10; i += 1) {
    await session.post([`${n}:${i}`]);
    assert.deepEqual(await session.take(1), [`${n}:${i}`]);
  }
}))), { seconds: 60 });

// ---- a bad network ------------------------------------------------------------------------------------------

await check('a lost answer: the same question gives the same messages', () => withSession(async (session) => {
  await session.post(['a', 'b']);
  const first = await is(200, session.poll(0));
  const again = await is(200, session.poll(0)); // the first answer never arrived, says the client
  assert.deepEqual(again.json.messages.slice(0, first.json.messages.length), first.json.messages);
  await session.post(['c']);
  session.seen = 0;
  assert.deepEqual(await session.take(3), ['a', 'b', 'c']);
}));

await check('a receiver that hangs up loses nothing', () => withSession(async (session) => {
  for (let i = 0; i < 20; i += 1) {
    const gone = new AbortController();
    const receiver = session.poll(session.seen, { signal: gone.signal });
    receiver.catch(() => {});
    await pause(i % 4 === 0 ? 30 : 2);
    const posting = session.post([`round ${i}`]);
    if (i % 3 !== 0) await posting;
    gone.abort(); // before, during or after the answer
    await posting;
    assert.deepEqual(await session.take(1), [`round ${i}`]);
  }
}));

await check('a receiver whose connection is cut by the kernel loses nothing', () => withSession(async (session) => {
  const raw = await Raw.to(polling);
  raw.write(`GET /poll${session.path}?after=0 HTTP/1.1\r\nHost: x\r\n\r\n`);
  await pause(50);
  raw.socket.resetAndDestroy();
  await session.post(['still here']);
  assert.deepEqual(await session.take(1), ['still here']);
}));

await check('a doubled POST is acknowledged, not echoed twice', () => withSession(async (session) => {
  await session.post(['a', 'b']);
  await session.post(['a', 'b'], 1);
  await session.post(['b', 'c', 'd'], 2); // half of it is new
  assert.deepEqual(await session.take(4), ['a', 'b', 'c', 'd']);
  await session.post(['a'], 1);
  await session.post(['e']);
  assert.deepEqual(await session.take(1), ['e']);
}));

await check('a gap in what is posted: 409 with what is expected', () => withSession(async (session) => {
  await session.post(['a']);
  const { json } = await is(409, ask('POST', session.path, { seq: 5, messages: ['e'] }));
  assert.equal(json.expected, 2);
  await session.post(['b'], 2);
  assert.deepEqual(await session.take(2), ['a', 'b']);
}));

await check('asking for what is not there: 409', () => withSession(async (session) => {
  await session.post(['a', 'b', 'c']);
  await session.take(3);
  const acknowledged = session.poll(3, { signal: AbortSignal.timeout(300) }); // frees 1 to 3
  await acknowledged.catch(() => {});
  const before = await is(409, session.poll(1));
  assert.equal(before.json.oldest, 4, before.text);
  assert.equal((await is(409, session.poll(99))).json.oldest, 4); // never sent
  await session.post(['d']);
  assert.deepEqual(await session.take(1), ['d'], 'and the session lives on');
}));

await check('a second receiver takes the place of the first', () => withSession(async (session) => {
  const first = session.poll();
  await pause(100);
  const second = session.poll();
  await is(204, first); // at once, long before its wait ends: the check is bounded by that
  await session.post(['for the second']);
  assert.deepEqual((await is(200, second)).json, { last: 1, messages: ['for the second'] });
}), { seconds: 20 });

// ---- limits and nonsense ------------------------------------------------------------------------------------

await check('answers are bounded in messages and bytes', () => withSession(async (session) => {
  for (let i = 0; i < 3; i += 1) await session.post(counted(i * 60, 60));
  const { json } = await is(200, session.poll(0));
  assert.ok(json.messages.length > 0 && json.messages.length <= 64, `${json.messages.length} messages in one answer`);
  assert.deepEqual(await session.take(180), counted(0, 180));
  const big = Array.from({ length: 6 }, (_, i) => String(i).repeat(20_000));
  const sizes = [];
  const receiving = (async () => {
    const all = [];
    while (all.length < big.length) {
      const answer = await is(200, session.poll());
      sizes.push(Buffer.byteLength(answer.text));
      session.seen = answer.json.last;
      all.push(...answer.json.messages);
    }
    return all;
  })();
  await session.post(big.slice(0, 3));
  await session.post(big.slice(3));
  assert.deepEqual(await receiving, big);
  assert.ok(Math.max(...sizes) <= 65_536, `an answer of ${Math.max(...sizes)} B`);
}));

await check('413 above a limit, and nothing is taken', () => withSession(async (session) => {
  await session.post(['before']);
  await is(413, ask('POST', session.path, { seq: 2, messages: counted(0, 65) }));
  await is(413, ask('POST', session.path, { seq: 2, messages: ['x'.repeat(65_536)] }));
  await is(413, ask('POST', session.path, { seq: 2, messages: ['x'.repeat(200_000)] }));
  await session.post(['after'], 2);
  assert.deepEqual(await session.take(2), ['before', 'after']);
}));

await check('a body that is not the protocol is 400, and nothing is taken', () => withSession(async (session) => {
  for (const body of [
    '', '{', '[]', 'null', '{}', '{"seq":1}', '{"messages":["a"]}', '{"seq":"1","messages":["a"]}', '{"seq":0,"messages":["a"]}',
    '{"seq":-1,"messages":["a"]}', '{"seq":1.5,"messages":["a"]}', '{"seq":1,"messages":"a"}', '{"seq":1,"messages":["a",]}',
    '{"seq":1,"messages":["a",1]}', '{"seq":1,"messages":["a",null]}', '{"seq":1,"messages":["a",["b"]]}',
    '{"seq":1,"messages":["a",{"x":"AA=="}]}', '{"seq":1,"messages":["a",{"b64":"","x":1}]}', '{"seq":1,"seq":1,"messages":["a"]}',
    '{"seq":1,"messages":["a","b]}', '{"seq":1,"messages":["a"]} x', '{"seq":1,"messages":["\\x"]}', '{"seq":1,"messages":["a"],"closed":1}',
    '{"seq":1,"messages":["\n"]}', '{"seq":99999999999999999999999,"messages":["a"]}', '['.repeat(20_000),
  ]) {
    const { status } = await ask('POST', session.path, body);
    assert.equal(status, 400, `${JSON.stringify(body.slice(0, 60))} was answered with ${status}`);
  }
  const notUtf8 = await fetch(base + session.path, { method: 'POST', body: Buffer.from('7b22736571223a312c226d65737361676573223a5b22ff225d7d', 'hex') });
  assert.equal(notUtf8.status, 400);
  await session.post(['good']);
  assert.deepEqual(await session.take(1), ['good']);
}));

await check('what later versions may add to a body is passed over', () => withSession(async (session) => {
  await is(200, ask('POST', session.path, '{"new":{"seq":[9,{}]},"seq":1,"messages":["a"],"newer":null}'));
  const { json } = await is(200, session.poll());
  assert.deepEqual(json, { last: 1, messages: ['a'] });
}));

await check('a body without messages says nothing and is acknowledged', () => withSession(async (session) => {
  await session.post(['a']);
  const { json } = await is(200, ask('POST', session.path, { seq: 2, messages: [] }));
  assert.equal(json.ack, 1);
  assert.deepEqual(await session.take(1), ['a']);
}));

await check('base64 that is none ends the session with 1007, and is no message', async () => {
  for (const b64 of ['?', 'AAA', 'AA=', 'A', 'AA==AA==', '\u00e9']) {
    const session = await Session.open();
    await is(200, ask('POST', session.path, { seq: 1, messages: ['good', { b64 }] }));
    const all = [];
    let closed;
    for (let i = 0; i < 5 && !closed; i += 1) {
      const { json } = await is(200, session.poll());
      session.seen = json.last;
      all.push(...json.messages);
      closed = json.closed;
    }
    assert.deepEqual([all, closed?.code], [['good'], 1007], `for ${b64}`);
    await session.end();
  }
});

await check('half of a surrogate pair becomes U+FFFD, as in a browser', () => withSession(async (session) => {
  await is(200, ask('POST', session.path, '{"seq":1,"messages":["a\\ud800b"]}'));
  session.sent = 1;
  assert.deepEqual(await session.take(1), ['a\ufffdb']);
}));

await check('the largest message that fits into a body comes back', () => withSession(async (session) => {
  const text = 'x'.repeat(65_536 - 41 - 4); // a body needs up to 41 bytes around its records, a text 4
  await session.post([text]);
  assert.deepEqual(await session.take(1), [text]);
}));

await check('an after that is no number is 400', () => withSession(async (session) => {
  for (const query of ['', '?after=', '?after=x', '?after=-1', '?after=1.5', '?after=01', '?after=0&after=0', '?after=99999999999999999999999']) {
    const { status } = await ask('GET', session.path + query);
    assert.equal(status, 400, `${query} was answered with ${status}`);
  }
}));

await check('an unknown session is 404, whatever is asked', async () => {
  for (const sid of ['A'.repeat(22), 'short', 'x'.repeat(500), '..%2f..', '%00']) {
    await is(404, ask('GET', `/${sid}?after=0`));
    await is(404, ask('POST', `/${sid}`, { seq: 1, messages: ['a'] }));
    await is(404, ask('DELETE', `/${sid}`));
  }
});

await check('other methods are 405 with Allow', () => withSession(async (session) => {
  for (const [method, path] of [['PUT', session.path], ['PATCH', session.path], ['PUT', '/open'], ['DELETE', '/open']]) {
    const { headers } = await is(405, ask(method, path));
    assert.ok(headers.get('allow'), `${method} ${path}: no Allow`);
  }
}));

// ---- endings ------------------------------------------------------------------------------------------------

await check('DELETE ends a session, and its receiver', async () => {
  const session = await Session.open();
  const receiver = session.poll();
  await pause(100);
  await is(204, session.end());
  await is(204, receiver); // at once
  await is(404, session.poll());
  await is(404, ask('POST', session.path, { seq: 1, messages: ['a'] }));
  await is(404, session.end());
}, { seconds: 20 });

await check('a client that closes is heard to the end', async () => {
  const session = await Session.open();
  const closed = { code: 4000, reason: 'bye' };
  await is(200, ask('POST', session.path, { seq: 1, messages: ['last words'], closed }));
  for (let i = 0; i < 100; i += 1) {
    const { status } = await session.poll();
    if (status === 404) return;
    await pause(50);
  }
  assert.fail('the session lives on');
});

await check('a session without a receiver ends by its deadline', async () => {
  const statuses = await abandoned;
  assert.equal(statuses.at(-1), 404, `it lived through ${statuses.length} s`);
  assert.ok(statuses.slice(0, -1).every((status) => status === 200), String(statuses));
  assert.ok(statuses.length > 5, `it was gone after ${statuses.length} s`);
}, { seconds: 40 });

await check('a wait that ends with nothing is 204, and the session goes on', async () => {
  const { session, answer, took } = await waiting;
  assert.equal(answer.status, 204);
  assert.equal(answer.text, '');
  assert.ok(took >= 24_000, `answered after ${took} ms`);
  await session.post(['after the wait']);
  assert.deepEqual(await session.take(1), ['after the wait']);
  await session.end();
}, { seconds: 60 });

await finish();
