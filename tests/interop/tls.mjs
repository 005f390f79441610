// wss:, both ways and through a proxy: npm ws as client and server, our server and client on tokio, and those on blocking
// sockets whose halves run in two threads.
//
// TLS is a folder with certificate.pem and key.pem, for 127.0.0.1, and a folder `other` with another certificate. INTEROP_SERVER, INTEROP_CLIENT: the programs; INTEROP_STD:
// the folder of the blocking adapter's examples `echo_tls ADDRESS CERTIFICATE KEY` and `client URL [CERTIFICATE [PROXY]]`.

import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { connect } from 'node:net';
import { join } from 'node:path';
import { WebSocketServer } from 'ws';
import { assert, atEnd, check, finish, within } from './lib/harness.mjs';
import { Peer } from './lib/peer.mjs';
import { Program, needed } from './lib/process.mjs';

const folder = needed('TLS', 'the folder of the certificate');
const [file, keyFile] = [join(folder, 'certificate.pem'), join(folder, 'key.pem')];
const [cert, key] = [readFileSync(file), readFileSync(keyFile)];
const examples = needed('INTEROP_STD', "the folder of the blocking adapter's examples");

// ---- our servers, npm ws as the client ----------------------------------------------------------------------------

const blocking = new Program(join(examples, 'echo_tls'), ['127.0.0.1:0', file, keyFile]);
atEnd(() => blocking.kill());
const tokio = new Program(needed('INTEROP_SERVER', 'the program interop-server'), ['--only', 'ws', '--tls', folder]);
atEnd(() => tokio.kill());
const servers = {
  'on two threads': `wss://${await blocking.line()}/`,
  'on tokio': `${JSON.parse(await tokio.line()).ws.replace(/^http/, 'ws')}/`,
};

for (const [which, url] of Object.entries(servers)) {
  assert.match(url, /^wss:/);
  await check(`the echo ${which}: messages of every size, and many at once`, async () => {
    const peer = await Peer.connect(url, [], { ca: cert });
    for (const size of [0, 1, 125, 126, 16_383, 16_384, 65_536, 3 << 20]) {
      const data = randomBytes(size);
      peer.send(data);
      assert.ok((await peer.next()).data.equals(data), `${size} B`);
    }
    for (let i = 0; i < 5_000; i += 1) peer.send(`${i} é ${'x'.repeat(i % 200)}`);
    for (let i = 0; i < 5_000; i += 1) assert.deepEqual(await peer.next(), { kind: 'text', data: `${i} é ${'x'.repeat(i % 200)}` });
    peer.socket.close(1000, 'done');
    const end = await peer.next();
    assert.deepEqual([end.kind, end.code], ['close', 1000]);
  }, { seconds: 60 });

  await check(`the echo ${which}: who does not trust it goes, and others come`, async () => {
    await assert.rejects(Peer.connect(url), /self.signed|unable to verify/i);
    const peer = await Peer.connect(url, [], { ca: cert, minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' });
    peer.send('by TLS 1.2');
    assert.equal((await peer.next()).data, 'by TLS 1.2');
    peer.socket.terminate(); // TCP ends without a word of TLS
  });
}

// ---- our clients, npm ws as the server, with and without a proxy -------------------------------------------------

const secure = createSecureServer({ cert, key }).listen(0, '127.0.0.1');
const server = new WebSocketServer({ server: secure, maxPayload: 32 << 20 });
const tunnels = [];
const proxy = createServer((_, response) => response.writeHead(405).end()).listen(0, '127.0.0.1');
proxy.on('connect', (request, near, head) => {
  tunnels.push([request.url, request.headers['proxy-authorization']]);
  const [host, port] = request.url.split(':');
  const far = connect(port, host, () => {
    near.write('HTTP/1.1 200 Connection established\r\n\r\n');
    far.write(head);
    near.pipe(far).pipe(near);
  });
  for (const socket of [near, far]) socket.on('error', () => { near.destroy(); far.destroy(); });
});
await Promise.all([secure, proxy].map((one) => one.listening || once(one, 'listening')));
atEnd(() => {
  for (const socket of server.clients) socket.terminate();
  for (const one of [server, secure, proxy]) one.close();
});
const authority = `127.0.0.1:${secure.address().port}`;
const url = `wss://${authority}/`;
const through = `http://127.0.0.1:${proxy.address().port}`;

async function pair(program, args) {
  const arrival = once(server, 'connection');
  const client = new Program(program, args);
  const [socket] = await within(15, `a connection; ${client.errors}`, arrival);
  return { client, peer: new Peer(socket) };
}

for (const [how, ...more] of [['directly'], ['through a proxy', through]]) {
  await check(`the client on two threads, ${how}: 5,000 lines each way`, async () => {
    tunnels.length = 0;
    const { client, peer } = await pair(join(examples, 'client'), [url, file, ...more]);
    const count = 5_000;
    client.write(Array.from({ length: count }, (_, i) => `up ${i}\n`).join(''));
    for (let i = 0; i < count; i += 1) peer.send(`down ${i}`);
    for (let i = 0; i < count; i += 1) assert.equal((await peer.next()).data, `up ${i}`);
    for (let i = 0; i < count; i += 1) assert.equal(await client.line(), `down ${i}`);
    client.write(`${'é'.repeat(1 << 19)}\n`);
    assert.equal((await peer.next()).data.length, 1 << 19);
    client.child.stdin.end();
    assert.equal((await peer.next()).code, 1000);
    assert.equal((await client.end()).code, 0);
    assert.deepEqual(tunnels, more.map(() => [authority, undefined]));
  }, { seconds: 60 });
}

for (const [how, ...more] of [['directly'], ['through a proxy', '--proxy', through, '--proxy-user', 'me:secret']]) {
  await check(`the client on tokio, ${how}`, async () => {
    tunnels.length = 0;
    const { client, peer } = await pair(needed('INTEROP_CLIENT', 'the program interop-client'), ['ws', url, '--trust', file, ...more]);
    assert.equal(JSON.parse(await client.line()).kind, 'open');
    const data = randomBytes(1 << 20);
    client.write(`\\binary ${data.toString('base64')}\n`);
    assert.ok((await peer.next()).data.equals(data));
    peer.send(data);
    assert.equal(JSON.parse(await client.line()).data, data.toString('base64'));
    client.child.stdin.end();
    assert.equal((await peer.next()).code, 1000);
    assert.equal((await client.end()).code, 0);
    assert.deepEqual(tunnels, more.length > 0 ? [[authority, 'Basic bWU6c2VjcmV0']] : []);
  }, { seconds: 60 });
}

await check('clients that do not trust the server say so', async () => {
  const other = join(folder, 'other', 'certificate.pem');
  for (const [program, args] of [[process.env.INTEROP_CLIENT, ['ws', url, '--trust', other]], [join(examples, 'client'), [url, other]]]) {
    const client = new Program(program, args);
    assert.equal((await client.end()).code, 1);
    assert.match(client.errors, /certificate/i);
  }
});

await finish();
