// Our WebSocket client (`interop-client ws URL`) against npm `ws` as the server, and against servers that misbehave.
//
// INTEROP_CLIENT is the program. What it does:
//   interop-client ws URL [--protocol NAME]... [--open-within MS] [--close-within MS] [--max-message BYTES]
// Standard output has one JSON object a line: {"kind":"open","data":"<subprotocol or empty>"} after the handshake, then
// {"kind":"text"|"ping"|"pong","data":"…"} and {"kind":"binary","data":"<base64>"} for what is received.
// Each line of standard input is sent as a text message, but for lines that start with a backslash:
//   \binary BASE64   \ping TEXT   \close CODE REASON
// The end of standard input closes with 1000. Exit code 0 after a closing handshake, and the last line on standard
// error is then `closed CODE REASON` (1005 for a close without a code); exit code 1 after everything else.

import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { WebSocketServer } from 'ws';
import { assert, atEnd, check, finish, pause, within } from './lib/harness.mjs';
import { Peer } from './lib/peer.mjs';
import { Program, needed } from './lib/process.mjs';
import { closing, frame } from './lib/raw.mjs';
import { rawServer, switching } from './lib/raw-server.mjs';

const program = needed('INTEROP_CLIENT', 'the path of the program interop-client');

const server = new WebSocketServer({
  port: 0, host: '127.0.0.1', maxPayload: 32 << 20, perMessageDeflate: true,
  handleProtocols: (offered) => [...offered].find((name) => name === 'chat') ?? false,
});
await once(server, 'listening');
const url = `ws://127.0.0.1:${server.address().port}`;
atEnd(() => {
  for (const socket of server.clients) socket.terminate();
  server.close();
});

class Client extends Program {
  constructor(to, ...options) {
    super(program, ['ws', to, ...options]);
  }

  say(line) {
    this.write(`${line}\n`);
  }

  async event(seconds = 15) {
    return JSON.parse(await this.line(seconds));
  }

  async saw(kind, data) {
    assert.deepEqual(await this.event(), { kind, data });
  }

  async closed(code, reason = '') {
    const end = await this.end(15);
    assert.equal(end.code, 0, `exit ${end.code ?? end.signal}: ${this.errors}`);
    assert.equal(this.errors.trimEnd().split('\n').at(-1).trimEnd(), `closed ${code} ${reason}`.trimEnd());
  }

  async failed() {
    const end = await this.end(15);
    assert.equal(end.code, 1, `exit ${end.code ?? end.signal}: ${this.errors}`);
    assert.notEqual(this.errors.trim(), '', 'it says why on standard error');
    assert.ok(!/panicked/.test(this.errors), this.errors);
  }
}

/** Our client and the server's end of its connection. */
async function pair(path = '/', ...options) {
  const arrival = once(server, 'connection');
  const client = new Client(url + path, ...options);
  const [socket, request] = await within(15, 'a connection', arrival);
  return { client, peer: new Peer(socket), request };
}

// ---- against npm ws -----------------------------------------------------------------------------------------

await check('the handshake asks for what it should', async () => {
  const { client, peer, request } = await pair('/path/with?query=%C3%A9', '--protocol', 'echo', '--protocol', 'chat');
  assert.equal(request.url, '/path/with?query=%C3%A9');
  assert.equal(request.headers.host, url.slice('ws://'.length));
  assert.equal(request.headers['sec-websocket-version'], '13');
  assert.equal(Buffer.from(request.headers['sec-websocket-key'], 'base64').length, 16);
  await client.saw('open', 'chat');
  peer.socket.close(1000);
  await client.closed(1000);
});

for (const [name, options] of [
  ['what npm ws answers', {}],
  ['no takeover', { serverNoContextTakeover: true, clientNoContextTakeover: true }],
  ['small windows', { serverMaxWindowBits: 10, clientMaxWindowBits: 9 }],
]) {
  await check(`compression, ${name}: 1 B to 16 MiB and back`, async () => {
    const compressing = new WebSocketServer({
      port: 0, host: '127.0.0.1', maxPayload: 32 << 20, perMessageDeflate: { threshold: 0, ...options },
    });
    await once(compressing, 'listening');
    try {
      const arrival = once(compressing, 'connection');
      const client = new Client(`ws://127.0.0.1:${compressing.address().port}/`, '--deflate');
      const [socket] = await within(15, 'a connection', arrival);
      const peer = new Peer(socket);
      assert.equal(socket.extensions, 'permessage-deflate');
      await client.saw('open', '');
      for (const size of [1, 126, 1_000, 65_536, 1 << 20, 16 << 20]) {
        const text = 'compress me '.repeat(size / 12 + 1).slice(0, size);
        peer.send(text);
        assert.deepEqual(await client.event(30), { kind: 'text', data: text });
        client.say(text);
        assert.deepEqual(await peer.next(30), { kind: 'text', data: text });
        const bytes = randomBytes(size);
        peer.send(bytes);
        assert.deepEqual(await client.event(30), { kind: 'binary', data: bytes.toString('base64') });
        client.say(`\\binary ${bytes.toString('base64')}`);
        const back = await peer.next(30);
        assert.ok(back.kind === 'binary' && back.data.equals(bytes), `${size} B of noise came back`);
      }
      socket.close(1000);
      await client.closed(1000);
    } finally {
      compressing.close();
    }
  }, { seconds: 120 });
}

await check('two clients send two keys', async () => {
  const one = await pair();
  const two = await pair();
  assert.notEqual(one.request.headers['sec-websocket-key'], two.request.headers['sec-websocket-key']);
  for (const { client } of [one, two]) {
    await client.saw('open', '');
    await client.stop();
    await client.closed(1000);
  }
});

await check('lines become text messages, messages become lines', async () => {
  const { client, peer } = await pair();
  await client.saw('open', '');
  for (const text of ['hello', '', 'é€😀', 'x'.repeat(125), 'x'.repeat(126), 'x'.repeat(65_535), 'x'.repeat(65_536), 'y'.repeat(1 << 20)]) {
    client.say(text);
    assert.deepEqual(await peer.next(), { kind: 'text', data: text });
    peer.send(`${text}\n\t"\\\u0000`);
    await client.saw('text', `${text}\n\t"\\\u0000`);
  }
  await client.stop();
  assert.deepEqual(await peer.next(), { kind: 'close', code: 1000, reason: '' });
  await client.closed(1000);
}, { seconds: 60 });

await check('binary both ways, up to 1 MiB', async () => {
  const { client, peer } = await pair();
  await client.saw('open', '');
  for (const size of [0, 1, 125, 126, 65_535, 65_536, 1 << 20]) {
    const bytes = randomBytes(size);
    client.say(`\\binary ${bytes.toString('base64')}`);
    const event = await peer.next();
    assert.equal(event.kind, 'binary');
    assert.ok(event.data.equals(bytes), `${size} B`);
    peer.send(bytes);
    await client.saw('binary', bytes.toString('base64'));
  }
  await client.stop();
  await client.closed(1000);
}, { seconds: 60 });

await check('10,000 messages in order, both ways at once', async () => {
  const { client, peer } = await pair();
  await client.saw('open', '');
  const count = 10_000;
  client.write(Array.from({ length: count }, (_, i) => `up ${i}\n`).join(''));
  for (let i = 0; i < count; i += 1) peer.send(`down ${i}`);
  for (let i = 0; i < count; i += 1) assert.equal((await peer.next()).data, `up ${i}`);
  for (let i = 0; i < count; i += 1) await client.saw('text', `down ${i}`);
  await client.stop();
  await client.closed(1000);
}, { seconds: 60 });

await check('fragments of the server with pings between are one message', async () => {
  const { client, peer } = await pair();
  await client.saw('open', '');
  const parts = ['frag', '', 'men', 'ted €'];
  for (const [i, part] of parts.entries()) {
    peer.send(part, { fin: i === parts.length - 1 });
    if (i < parts.length - 1) peer.socket.ping(`p${i}`);
  }
  const seen = [];
  for (let i = 0; i < parts.length; i += 1) seen.push(await client.event());
  assert.deepEqual(seen.filter(({ kind }) => kind === 'ping').map(({ data }) => data), ['p0', 'p1', 'p2']);
  assert.deepEqual(seen.filter(({ kind }) => kind === 'text'), [{ kind: 'text', data: parts.join('') }]);
  for (let i = 0; i < 3; i += 1) assert.deepEqual(await peer.next(), { kind: 'pong', data: `p${i}` });
  await client.stop();
  await client.closed(1000);
});

await check('a ping of the client brings its pong', async () => {
  const { client, peer } = await pair();
  await client.saw('open', '');
  client.say('\\ping are you there');
  assert.deepEqual(await peer.next(), { kind: 'ping', data: 'are you there' });
  await client.saw('pong', 'are you there');
  await client.stop();
  await client.closed(1000);
});

for (const [code, reason] of [[1000, ''], [1000, 'fin'], [1001, 'restart'], [3000, 'ours'], [4999, '€'.repeat(41)]]) {
  await check(`the server closes with ${code} "${reason.slice(0, 10)}"`, async () => {
    const { client, peer } = await pair();
    await client.saw('open', '');
    assert.equal((await peer.close(code, reason)).code, code); // the client's answer
    await client.closed(code, reason);
  });
}

await check('the server closes without a code', async () => {
  const { client, peer } = await pair();
  await client.saw('open', '');
  await peer.close();
  await client.closed(1005);
});

for (const [code, reason] of [[1000, ''], [3001, 'enough'], [4000, 'grüße']]) {
  await check(`the client closes with ${code} "${reason}"`, async () => {
    const { client, peer } = await pair();
    await client.saw('open', '');
    client.say(`\\close ${code} ${reason}`);
    assert.deepEqual(await peer.next(), { kind: 'close', code, reason });
    await client.closed(code, reason);
  });
}

await check('what the server sent before its close still arrives', async () => {
  const { client, peer } = await pair();
  await client.saw('open', '');
  peer.send('last');
  peer.send('words');
  peer.socket.close(1001, 'bye');
  await client.saw('text', 'last');
  await client.saw('text', 'words');
  await client.closed(1001, 'bye');
});

await check('a message above --max-message is refused with 1009', async () => {
  const { client, peer } = await pair('/', '--max-message', '1000');
  await client.saw('open', '');
  peer.send('x'.repeat(1_000));
  await client.saw('text', 'x'.repeat(1_000));
  peer.send('x'.repeat(1_001));
  const event = await peer.next();
  assert.deepEqual([event.kind, event.code], ['close', 1009]);
  await client.failed();
});

await check('a server that vanishes is no clean end', async () => {
  const { client, peer } = await pair();
  await client.saw('open', '');
  peer.destroy();
  await client.failed();
});

await check('nobody listens', async () => {
  const gone = await rawServer(() => {});
  await gone.close();
  await new Client(gone.url).failed();
});

// ---- against servers that refuse, or do it wrong ------------------------------------------------------------

const GOOD = 'dGhlIHNhbXBsZSBub25jZQ==';
for (const [name, answer, options = []] of [
  ['a wrong Sec-WebSocket-Accept', () => switching(GOOD)],
  ['no Sec-WebSocket-Accept', () => switching(null)],
  ['no Upgrade', (accept) => switching(accept, { Upgrade: null })],
  ['Upgrade: h2c', (accept) => switching(accept, { Upgrade: 'h2c' })],
  ['no Connection', (accept) => switching(accept, { Connection: null })],
  ['a subprotocol that was not offered', (accept) => switching(accept, { 'Sec-WebSocket-Protocol': 'chat' }), ['--protocol', 'echo']],
  ['a subprotocol though none was offered', (accept) => switching(accept, { 'Sec-WebSocket-Protocol': 'chat' })],
  ['an extension that was not offered', (accept) => switching(accept, { 'Sec-WebSocket-Extensions': 'x-ours' })],
  ['200', () => 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno'],
  ['403', () => 'HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n'],
  ['a redirect', () => 'HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n'],
  ['bytes that are no HTTP', () => 'SSH-2.0-OpenSSH_9.2\r\n\r\n'],
  ['half a head', () => 'HTTP/1.1 101 Switching Pro'],
]) {
  await check(`a handshake answered with ${name} fails`, async () => {
    const rude = await rawServer(async (raw, { accept }) => {
      raw.write(answer(accept)).finish();
    });
    const client = new Client(rude.url, ...options);
    await client.failed();
    assert.deepEqual(client.lines, [], 'nothing was opened');
    await rude.close();
  });
}

await check('a handshake in bytes, with the first frame behind it, is read', async () => {
  const slow = await rawServer(async (raw, { accept }) => {
    for (const byte of Buffer.concat([Buffer.from(switching(accept)), frame(1, 'first', { mask: false })])) {
      raw.write(Buffer.from([byte]));
      await pause(1);
    }
    raw.write(frame(8, closing(1000), { mask: false }));
    assert.equal((await raw.closeFrame()).masked, true);
    raw.finish();
  });
  const client = new Client(slow.url);
  await client.saw('open', '');
  await client.saw('text', 'first');
  await client.closed(1000);
  await slow.close();
});

for (const [name, bytes, code] of [
  ['a masked frame', frame(1, 'hi'), 1002],
  ['a masked close', frame(8, closing(1000)), 1002],
  ['RSV1', frame(1, 'hi', { mask: false, rsv: 4 }), 1002],
  ['opcode 11', frame(11, '', { mask: false }), 1002],
  ['a ping of 126 B', frame(9, 'x'.repeat(126), { mask: false }), 1002],
  ['a length of 2 in 16 bits', frame(1, 'hi', { mask: false, lengthBytes: 2 }), 1002],
  ['a continuation of nothing', frame(0, 'hi', { mask: false }), 1002],
  ['a close of 1 byte', frame(8, 'x', { mask: false }), 1002],
  ['close code 1006', frame(8, closing(1006), { mask: false }), 1002],
  ['text that is not UTF-8', frame(1, Buffer.from([0x61, 0xff]), { mask: false }), 1007],
  ['2 to the 62 declared bytes', frame(2, 'x', { mask: false, declared: 2n ** 62n, lengthBytes: 8 }), 1009],
]) {
  await check(`${name} from the server: ${code}`, async () => {
    let seen;
    const rude = await rawServer(async (raw, { accept }) => {
      raw.write(Buffer.concat([Buffer.from(switching(accept)), frame(1, 'good', { mask: false }), bytes]));
      seen = await raw.closeFrame();
      raw.finish();
      await raw.ended(10, { orReset: true });
    });
    const client = new Client(rude.url);
    await client.saw('open', '');
    await client.saw('text', 'good');
    await client.failed();
    await rude.close();
    assert.equal(seen?.code, code);
    assert.equal(seen.masked, true);
  });
}

await check('every frame has a mask key of its own', async () => {
  const keys = new Set();
  const reader = await rawServer(async (raw, { accept }) => {
    raw.write(switching(accept));
    for (let i = 0; i < 200; i += 1) {
      const head = await raw.take(2);
      assert.equal(head[1], 0x80 | 4, 'a masked text frame of 4 B');
      keys.add((await raw.take(4)).toString('hex'));
      await raw.take(4);
    }
    raw.write(frame(8, closing(1000), { mask: false }));
    await raw.closeFrame();
    raw.finish();
  });
  const client = new Client(reader.url);
  await client.saw('open', '');
  client.write('same\n'.repeat(200));
  await client.closed(1000);
  await reader.close();
  assert.ok(keys.size > 195, `${keys.size} keys for 200 frames`);
});

await check('a server that never answers the close is given up', async () => {
  let code;
  const deaf = await rawServer(async (raw, { accept }) => {
    raw.write(switching(accept));
    ({ code } = await raw.closeFrame());
    await raw.ended(15, { orReset: true }); // and says nothing, and keeps its half open
  });
  const client = new Client(deaf.url, '--close-within', '500');
  await client.saw('open', '');
  client.child.stdin.end();
  await client.failed();
  assert.equal(code, 1000);
  await deaf.close();
});

await check('a server that never answers the handshake is given up', async () => {
  const deaf = await rawServer(() => pause(100));
  const client = new Client(deaf.url, '--open-within', '500');
  await client.failed();
  await deaf.close();
});

await finish();
