// The programs of tests/runtimes, which drive the core without an adapter of ours: npm ws and npm eventsource against
// each of them.
//
// RUNTIMES is their folder; each takes ADDRESS LARGEST-MESSAGE, and its first line of output is the address. `uring` may say
// instead that the kernel has no io_uring; then it must end at once, with exit code 0.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { EventSource } from 'eventsource';
import { assert, atEnd, check, finish, pause, within } from './lib/harness.mjs';
import { Program, needed } from './lib/process.mjs';
import { Raw, closing, frame } from './lib/raw.mjs';

const folder = needed('RUNTIMES', 'the folder of the programs of tests/runtimes');
const LARGEST = 16 << 20;

/** Another script of this folder, whose checks are one check of this one. */
async function passes(...args) {
  const child = spawn(process.execPath, args, { cwd: import.meta.dirname, stdio: ['ignore', 'inherit', 'inherit'] });
  try {
    const [code, signal] = await within(200, `${args[0]} ends`, once(child, 'exit'));
    assert.equal(code, 0, `${args[0]} ended with ${signal ?? code}`);
  } finally {
    child.kill('SIGKILL');
  }
}

/** The next `count` events, as `id data`; `after` makes the server go on behind that one. */
async function events(base, count, headers = {}) {
  const source = new EventSource(`${base}/events`, {
    fetch: (url, init) => fetch(url, { ...init, headers: { ...init.headers, ...headers } }),
  });
  try {
    const seen = [];
    await within(count * 3 + 5, `${count} events`, new Promise((resolve, reject) => {
      source.addEventListener('message', ({ lastEventId, data }) => {
        seen.push(`${lastEventId} ${data}`);
        if (seen.length === count) resolve();
      });
      source.addEventListener('error', (error) => reject(new Error(`the source failed: ${error.message}`)));
    }));
    return seen;
  } finally {
    source.close();
  }
}

async function served(name, base) {
  await check(`${name}: npm ws is content with the echo`, () => passes('ws-client.mjs', base), { seconds: 210 });

  await check(`${name}: npm eventsource gets an event a second`, async () => {
    assert.deepEqual(await events(base, 3), ['0 event 0', '1 event 1', '2 event 2']);
  });

  await check(`${name}: it goes on behind the last event that was seen`, async () => {
    assert.deepEqual(await events(base, 2, { 'last-event-id': '41' }), ['42 event 42', '43 event 43']);
  });

  await check(`${name}: fifty subscribers at a time`, async () => {
    const all = await Promise.all(Array.from({ length: 50 }, () => events(base, 2)));
    for (const seen of all) assert.deepEqual(seen, ['0 event 0', '1 event 1']);
  });

  await check(`${name}: requests on one connection, an upgrade behind them, frames in the same segment`, async () => {
    const raw = await Raw.to(base);
    const get = 'GET /nothing HTTP/1.1\r\nhost: a\r\n\r\n';
    const upgrade = 'GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n' +
      'sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n';
    raw.write(Buffer.concat([Buffer.from(get + get + upgrade), frame(1, 'at once'), frame(8, closing(1000, 'bye'))]));
    for (const _ of [1, 2]) assert.equal((await raw.response()).status, 404);
    const answer = await raw.response();
    assert.deepEqual([answer.status, answer.headers['sec-websocket-accept']], [101, ['s3pPLMBiTxaQ9kYGzzhZRbK+xOo=']]);
    assert.equal((await raw.frame()).payload.toString(), 'at once');
    assert.equal((await raw.closeFrame()).code, 1000);
    await raw.ended(); // and no reset
    raw.destroy();
  });

  await check(`${name}: nonsense is answered, and the answer arrives`, async () => {
    const raw = await Raw.to(base);
    raw.write(Buffer.concat([Buffer.from('nonsense\r\n\r\n'), Buffer.alloc(200_000, 'x')]));
    assert.equal((await raw.response()).status, 400);
    await raw.ended(); // no reset, although it was not all read
    raw.destroy();
  });

  await check(`${name}: a connection that is cut leaves no trace`, async () => {
    for (let i = 0; i < 100; i += 1) {
      const raw = await Raw.to(base);
      raw.write('GET /events HTTP/1.1\r\nhost: a\r\n');
      if (i % 2) await raw.write('\r\n').response({ bodiless: true });
      raw.socket.resetAndDestroy();
    }
    assert.deepEqual(await events(base, 1), ['0 event 0']);
  });
}

/** The loop is held up, and the wait for a head (10 s) ends meanwhile; but its last bytes came in time. */
async function heldUp(program, base) {
  const raw = await Raw.to(base);
  raw.write('GET /nothing HTTP/1.1\r\n');
  await pause(1000);
  program.child.kill('SIGSTOP');
  raw.write('host: a\r\n\r\n');
  await pause(10_000);
  program.child.kill('SIGCONT');
  assert.equal((await raw.response()).status, 404, program.name);
  raw.destroy();
}

const running = [];
for (const name of ['epoll', 'frames', 'uring']) {
  const program = new Program(join(folder, name), ['127.0.0.1:0', String(LARGEST)]);
  atEnd(() => program.kill());
  const first = await program.line();
  if (name === 'uring' && first.startsWith('no io_uring: ')) {
    await check(`${name} says that there is none, and stops: ${first}`, async () => {
      assert.equal((await within(5, 'its end', program.ended)).code, 0);
    });
    continue;
  }
  await check(`${name} says where it listens`, () => assert.match(first, /^127\.0\.0\.1:\d+$/));
  await served(name, `http://${first}`);
  running.push([program, `http://${first}`]);
}

await check('whoever was in time is served by a loop that is late', () =>
  Promise.all(running.map(([program, base]) => heldUp(program, base))));

await check('all are still there', () => {
  for (const [program] of running) assert.equal(program.child.exitCode ?? program.child.signalCode, null, program.errors);
});

await finish();
