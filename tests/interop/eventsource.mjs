// npm `eventsource` as the client, our event streams as the peer: interop-server, key `sse`.

import net from 'node:net';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { EventSource } from 'eventsource';
import { assert, atEnd, check, finish, pause, until, within } from './lib/harness.mjs';
import { generated, typesOf } from './lib/generated.mjs';
import { Raw } from './lib/raw.mjs';
import { services, startServer } from './lib/server.mjs';

const { sse: base } = await services('sse');

/** An EventSource whose events are taken one by one. */
class Source {
  constructor(url, names = ['message'], options = {}) {
    this.source = new EventSource(url, options);
    this.queue = [];
    this.wake = () => {};
    this.opened = 0;
    const put = (event) => {
      this.queue.push(event);
      this.wake();
    };
    for (const name of names) {
      this.source.addEventListener(name, ({ type, data, lastEventId }) => put({ type, data, lastEventId }));
    }
    this.source.addEventListener('open', () => {
      this.opened += 1;
      this.wake();
    });
    this.errors = [];
    this.source.addEventListener('error', (error) => {
      this.errors.push(error);
      this.wake();
    });
  }

  async #until(done, seconds, what) {
    await within(seconds, what, (async () => {
      while (!done()) {
        await new Promise((resolve) => {
          this.wake = resolve;
        });
      }
    })());
  }

  async next(seconds = 15) {
    await this.#until(() => this.queue.length > 0, seconds, 'an event');
    return this.queue.shift();
  }

  open = (seconds = 15) => this.#until(() => this.opened > 0, seconds, 'the stream is open');

  closed = (seconds = 15) => this.#until(() => this.source.readyState === EventSource.CLOSED, seconds, 'the source is closed');

  close() {
    this.source.close();
  }
}

/** `body` with a source that is closed afterwards. */
async function withSource(path, names, body) {
  const source = new Source(base + path, names);
  try {
    await body(source);
  } finally {
    source.close();
  }
}

async function publish(data, query = '', to = base) {
  const answer = await fetch(`${to}/publish${query}`, { method: 'POST', body: data, signal: AbortSignal.timeout(10_000) });
  await answer.text();
  return answer.status;
}

async function published(data, query = '', to = base) {
  const status = await publish(data, query, to);
  assert.ok(status >= 200 && status < 300, `publish was answered with ${status}`);
}

/** A GET by hand whose answer's head is taken: what comes then is the stream. */
async function rawStream(path, headers = '', to = base) {
  const raw = await Raw.to(to);
  raw.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n${headers}\r\n`);
  const head = (await raw.through('\r\n\r\n')).toString('latin1');
  return { raw, head };
}

// ---- streams ------------------------------------------------------------------------------------------------

await check('the head of a stream says what it is', async () => {
  const { raw, head } = await rawStream('/stream?n=3&every=0');
  assert.match(head, /^HTTP\/1\.1 200 /);
  assert.match(head, /\r\ncontent-type: *text\/event-stream *(; *charset=utf-8)?\r\n/i);
  assert.match(head, /\r\ncache-control: *[^\r]*no-(store|cache)/i);
  assert.match(head, /\r\naccess-control-allow-origin: *\*\r\n/i);
  raw.destroy();
});

await check('events come in order with id, type and data', () => withSource('/stream?n=50&every=1', ['tick'], async (source) => {
  for (let i = 1; i <= 50; i += 1) {
    assert.deepEqual(await source.next(), { type: 'tick', data: String(i), lastEventId: String(i) });
  }
}));

await check('10,000 events at full speed', () => withSource('/stream?n=10000&every=0', ['tick'], async (source) => {
  for (let i = 1; i <= 10_000; i += 1) assert.equal((await source.next()).data, String(i));
}), { seconds: 60 });

await check('100 streams at once', async () => {
  const sources = Array.from({ length: 100 }, () => new Source(`${base}/stream?n=20&every=10`, ['tick']));
  try {
    await Promise.all(sources.map(async (source) => {
      for (let i = 1; i <= 20; i += 1) assert.equal((await source.next(30)).data, String(i));
    }));
  } finally {
    for (const source of sources) source.close();
  }
}, { seconds: 60 });

await check('Last-Event-ID resumes a stream', async () => {
  const { raw } = await rawStream('/stream?n=9&every=0', 'Last-Event-ID: 6\r\n');
  const text = (await raw.through('data: 9\n')).toString('utf8');
  assert.deepEqual([...text.matchAll(/^data: ?(.*)$/gm)].map((match) => match[1]), ['7', '8', '9']);
  assert.deepEqual([...text.matchAll(/^id: ?(.*)$/gm)].map((match) => match[1]), ['7', '8', '9']);
  raw.destroy();
});

await check('a Last-Event-ID that means nothing is no fault', async () => {
  for (const id of ['', 'abc', '-1', '99999999999999999999999', '\u00ff'.repeat(50)]) {
    const { raw, head } = await rawStream('/stream?n=3&every=0', `Last-Event-ID: ${id}\r\n`);
    assert.match(head, /^HTTP\/1\.1 2\d\d /, `for ${JSON.stringify(id)}`);
    raw.destroy();
  }
});

await check('a finished stream that answers 204 is asked no more', () => withSource('/once', ['message'], async (source) => {
  const ids = [(await source.next()).lastEventId, (await source.next()).lastEventId];
  assert.deepEqual(ids, ['1', '2']);
  await source.closed();
  assert.equal(source.errors.at(-1).code, 204);
  assert.deepEqual(source.queue, []);
}));

await check('the client waits for the reconnection time that retry told', () => withSource('/once', ['message'], async (source) => {
  await source.next();
  await source.next();
  const start = Date.now();
  await source.closed(); // after the second request, which waited for the reconnection time
  const took = Date.now() - start;
  assert.ok(took >= 150, `asked again after ${took} ms, before the reconnection time`);
}));

await check('the retry field comes first', async () => {
  const { raw } = await rawStream('/stream?n=2&every=0');
  const text = (await raw.through('data: 1\n')).toString('utf8');
  assert.ok(/retry: ?200\n/.test(text) && text.indexOf('retry') < text.indexOf('data'), text);
  raw.destroy();
});

await check('500 generated events are seen as they were encoded', async () => {
  const expected = await generated(base, 500, 5);
  await withSource('/generated?n=500&seed=5', typesOf(expected), async (source) => {
    for (const event of expected) assert.deepEqual(await source.next(), event);
  });
});

// ---- a server that dies -------------------------------------------------------------------------------------

/** A port with nobody on it, nor on the `width` after it. */
async function freeBase(width) {
  for (let base = 20_000 + Math.floor(Math.random() * 10_000); base < 60_000; base += width) {
    const servers = [];
    try {
      for (let port = base; port < base + width; port += 1) {
        const server = net.createServer().listen(port, '127.0.0.1');
        servers.push(server);
        await once(server, 'listening');
      }
      return base;
    } catch {
      // somebody is there: the next range
    } finally {
      for (const server of servers) server.close();
    }
  }
  throw new Error('no free ports');
}

await check('killed and started again: nothing missed, nothing seen twice', async () => {
  const portBase = await freeBase(32);
  let server = await startServer(['sse'], { portBase });
  const { sse: url } = server.urls;
  const source = new Source(`${url}/stream?n=300&every=10`, ['tick']);
  try {
    for (let i = 1; i <= 300; i += 1) {
      const event = await source.next(30);
      assert.deepEqual(event, { type: 'tick', data: String(i), lastEventId: String(i) });
      if (i === 60 || i === 170) {
        await server.kill();
        server = await startServer(['sse'], { portBase });
        assert.equal(server.urls.sse, url, 'the same port again');
      }
    }
    assert.ok(source.opened >= 3, `opened ${source.opened} times`);
  } finally {
    source.close();
    await server.stop();
  }
}, { seconds: 60 });

// ---- publish and live ---------------------------------------------------------------------------------------

await check('what is published reaches a subscriber as it was', () => withSource('/live', ['message', 'news', 'é €'], async (source) => {
  await source.open();
  await pause(50);
  const texts = [
    'plain', '', ' leading space', 'two\nlines', 'three\n\nlines', 'ends with a line break\n', 'a: colon', ':comment?',
    'data: not a field', 'id: 7', 'retry: 1', 'event: x', 'é€😀', '\ufeffbom', 'x'.repeat(20_000), 'line\n'.repeat(2_000),
    '{"json":"\\u0000\\n"}', '\u2028\u2029\u0085', '\0',
  ];
  for (const [i, text] of texts.entries()) {
    await published(text, `?id=as-it-was-${i}`);
    assert.deepEqual(await source.next(), { type: 'message', data: text, lastEventId: `as-it-was-${i}` });
  }
  for (const [text, seen] of [['cr\ralone', 'cr\nalone'], ['cr\r\nlf', 'cr\nlf'], ['\r', '\n']]) {
    await published(text, '?id=cr'); // the format has no other line end than LF
    assert.deepEqual(await source.next(), { type: 'message', data: seen, lastEventId: 'cr' });
  }
  for (const name of ['news', 'é €']) {
    await published('named', `?event=${encodeURIComponent(name)}&id=${encodeURIComponent('n€ws 1')}`);
    assert.deepEqual(await source.next(), { type: name, data: 'named', lastEventId: 'n€ws 1' });
  }
}));

await check('nothing can be injected through event or id', () => withSource('/live', ['message', 'evil'], async (source) => {
  await source.open();
  await pause(50);
  for (const query of ['?event=a%0Ab', '?event=a%0Db', '?event=a%0D%0Ab', '?event=%0Adata:%20evil', '?id=a%0Ab', '?id=a%0Db', '?id=a%00b',
    '?event=x%0Aevent:%20evil&id=3', '?id=1%0A%0Adata:%20evil%0A%0A']) {
    assert.equal(await publish('innocent', query), 400, query);
  }
  await published('after', '?id=after-injection');
  assert.deepEqual(await source.next(), { type: 'message', data: 'after', lastEventId: 'after-injection' });
}));

await check('what is no UTF-8 cannot be published', async () => {
  assert.equal(await publish(Buffer.from([0x61, 0xff])), 400);
  for (const query of ['?id=%ff', '?event=%c3%28', '?id=%zz', '?id=%2']) assert.equal(await publish('innocent', query), 400, query);
});

await check('a page of another origin may publish: the preflight says so', async () => {
  const answer = await fetch(`${base}/publish`, {
    method: 'OPTIONS',
    headers: { Origin: 'http://elsewhere.example', 'Access-Control-Request-Method': 'POST' },
    signal: AbortSignal.timeout(10_000),
  });
  assert.equal(answer.status, 204);
  assert.equal(answer.headers.get('access-control-allow-origin'), '*');
  assert.match(answer.headers.get('access-control-allow-methods'), /POST/);
});

await check('/live replays what follows Last-Event-ID', async () => {
  for (let i = 1; i <= 5; i += 1) await published(`replayed ${i}`, `?id=replay-${i}`);
  const { raw } = await rawStream('/live', 'Last-Event-ID: replay-2\r\n');
  await published('now', '?id=replay-6');
  const text = (await raw.through('data: now\n')).toString('utf8');
  assert.deepEqual([...text.matchAll(/^data: ?(.*)$/gm)].map((match) => match[1]), ['replayed 3', 'replayed 4', 'replayed 5', 'now']);
  raw.destroy();
});

await check('a subscriber without Last-Event-ID gets only what is new', async () => {
  await published('old', '?id=old');
  const { raw } = await rawStream('/live');
  await raw.through('retry');
  await pause(50);
  await published('new', '?id=new');
  const text = (await raw.through('data: new\n')).toString('utf8');
  assert.ok(!text.includes('data: old'), text);
  raw.destroy();
});

await check('50 subscribers get 100 events each, in order, and leave as they like', async () => {
  const sources = Array.from({ length: 50 }, () => new Source(`${base}/live`, ['burst']));
  try {
    await Promise.all(sources.map((source) => source.open()));
    await pause(100);
    for (let i = 0; i < 100; i += 1) {
      await published(`burst ${i}`, `?event=burst&id=burst-${i}`);
      if (i === 50) for (const source of sources.slice(40)) source.close();
    }
    await Promise.all(sources.slice(0, 40).map(async (source) => {
      for (let i = 0; i < 100; i += 1) assert.equal((await source.next()).data, `burst ${i}`);
    }));
  } finally {
    for (const source of sources) source.close();
  }
}, { seconds: 60 });

await check('a subscriber that does not read holds up nobody', async () => {
  const { raw: sleeper } = await rawStream('/live');
  sleeper.socket.pause();
  atEnd(() => sleeper.destroy());
  await withSource('/live', ['message'], async (source) => {
    await source.open();
    await pause(50);
    const big = 'z'.repeat(15_000);
    for (let i = 0; i < 300; i += 1) await published(big, `?id=flood-${i}`);
    for (let i = 0; i < 300; i += 1) assert.equal((await source.next()).lastEventId, `flood-${i}`);
  });
}, { seconds: 60 });

// 1,500 events of 60 kB are 90 MB for each of them. The log keeps 64 MB, once for all, and a connection 2 MiB at most.
await check('subscribers that do not read cost bounded memory, and are told what they have missed', async () => {
  const server = await startServer(['sse']);
  atEnd(() => server.stop());
  const { sse } = server.urls;
  // Linux tells; elsewhere only what comes is looked at.
  const peak = async () => {
    const status = await readFile(`/proc/${server.program.child.pid}/status`, 'latin1').catch(() => '');
    return Number(/VmHWM:\s*(\d+) kB/.exec(status)?.[1] ?? 0) / 1024;
  };
  const sleepers = await Promise.all(Array.from({ length: 20 }, async () => {
    const { raw: { socket } } = await rawStream('/live', '', sse);
    atEnd(() => socket.destroy());
    return socket.pause().removeAllListeners('data');
  }));
  const source = new Source(`${sse}/live`);
  atEnd(() => source.close());
  await source.open();
  await pause(50);
  const before = await peak();
  const big = 'z'.repeat(60_000);
  for (let i = 0; i < 1500; i += 1) {
    await published(big, `?id=flood-${i}`, sse);
    // The one who reads keeps up, so it misses nothing.
    assert.equal((await source.next()).lastEventId, `flood-${i}`);
  }
  const grown = await peak() - before;
  assert.ok(grown < 200, `${grown} MiB for 20 subscribers that are owed 1,800`);
  for (const socket of sleepers) {
    let [lost, last, rest] = [0, '', ''];
    socket.on('data', (bytes) => {
      const lines = (rest + bytes.toString('latin1')).split('\n');
      rest = lines.pop();
      for (const line of lines) {
        lost += Number(/^: (\d+) events are lost: too slow$/.exec(line)?.[1] ?? 0);
        if (line.startsWith('id: ')) last = line;
      }
    });
    socket.resume();
    await until('it is up to date', () => last === 'id: flood-1499');
    assert.ok(lost > 0, 'it was told what is lost');
  }
}, { seconds: 120 });

await finish();
