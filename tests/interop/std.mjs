// The blocking adapter's examples against other people's programs: `echo` against npm ws and Python websockets,
// `client` against npm ws.
//
// INTEROP_STD is the folder of the examples; the argument is a Python that has websockets.
//   echo ADDRESS    listens there; its first line of output is the address
//   client URL      sends lines of input as text, prints what comes back, closes at the end of input

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { WebSocketServer } from 'ws';
import { assert, atEnd, check, finish, within } from './lib/harness.mjs';
import { Peer } from './lib/peer.mjs';
import { Program, needed } from './lib/process.mjs';

const examples = needed('INTEROP_STD', "the folder of the blocking adapter's examples");
const python = process.argv[2] ?? 'python3';

const echo = new Program(join(examples, 'echo'), ['127.0.0.1:0']);
atEnd(() => echo.kill());
const address = await echo.line();
assert.match(address, /^127\.0\.0\.1:\d+$/);

/** Another script of this folder, whose checks are one check of this one. */
async function passes(command, ...args) {
  const child = spawn(command, args, { cwd: import.meta.dirname, stdio: ['ignore', 'inherit', 'inherit'] });
  try {
    const [code, signal] = await within(200, `${args[0]} ends`, once(child, 'exit'));
    assert.equal(code, 0, `${args[0]} ended with ${signal ?? code}`);
  } finally {
    child.kill('SIGKILL');
  }
}

await check('npm ws is content with the echo', () => passes(process.execPath, 'ws-client.mjs', `http://${address}`), { seconds: 210 });
await check('Python websockets is content with the echo', () => passes(python, 'ws.py', `ws://${address}`), { seconds: 210 });

const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: true });
await once(server, 'listening');
atEnd(() => {
  for (const socket of server.clients) socket.terminate();
  server.close();
});
const url = `ws://127.0.0.1:${server.address().port}/`;

async function pair() {
  const arrival = once(server, 'connection');
  const client = new Program(join(examples, 'client'), [url]);
  const [socket] = await within(15, 'a connection', arrival);
  return { client, peer: new Peer(socket) };
}

await check('the client sends lines, prints messages, answers pings and closes', async () => {
  const { client, peer } = await pair();
  for (const text of ['hello', 'é€😀', 'x'.repeat(100_000)]) {
    client.write(`${text}\n`);
    assert.deepEqual(await peer.next(), { kind: 'text', data: text });
    peer.send(text);
    assert.equal(await client.line(), text);
  }
  peer.socket.ping('there?');
  assert.deepEqual(await peer.next(), { kind: 'pong', data: 'there?' });
  client.child.stdin.end();
  const event = await peer.next();
  assert.deepEqual([event.kind, event.code], ['close', 1000]);
  assert.equal((await client.end()).code, 0);
});

await check('one thread sends while the other receives: 10,000 lines each way', async () => {
  const { client, peer } = await pair();
  const count = 10_000;
  client.write(Array.from({ length: count }, (_, i) => `up ${i}\n`).join(''));
  for (let i = 0; i < count; i += 1) peer.send(`down ${i}`);
  for (let i = 0; i < count; i += 1) assert.equal((await peer.next()).data, `up ${i}`);
  for (let i = 0; i < count; i += 1) assert.equal(await client.line(), `down ${i}`);
  client.child.stdin.end();
  assert.equal((await client.end()).code, 0);
}, { seconds: 60 });

await check('a server that closes ends the client', async () => {
  const { client, peer } = await pair();
  peer.send('last');
  peer.socket.close(1001, 'restart');
  assert.equal(await client.line(), 'last');
  assert.equal((await client.end()).code, 0);
  assert.match(client.errors, /1001/);
});

await finish();
