// npm `ws` as the client, our WebSocket server as the peer: interop-server, keys `ws` (echo) and `ws-small`
// (messages up to 64 KiB, at most 1,000 fragments). With a URL as its argument: any echo of ours that takes 16 MiB,
// without what only interop-server promises.

import { randomBytes } from 'node:crypto';
import { assert, atEnd, check, finish, pause, within } from './lib/harness.mjs';
import { Peer } from './lib/peer.mjs';
import { Raw, closing, frame } from './lib/raw.mjs';
import { asWebSocket, services } from './lib/server.mjs';

const KIB = 1024;
const MIB = 1024 * KIB;
const isOther = process.argv.length > 2;
const urls = isOther ? { ws: process.argv[2] } : await services('ws', 'ws-small');
const url = asWebSocket(urls.ws);

/** One connection for the whole run: whatever the others do, this one goes on. */
const bystander = await Peer.connect(url);
atEnd(async () => {
  assert.equal((await bystander.close(1000, 'done')).code, 1000);
});
let rounds = 0;
async function bystanderIsWell() {
  const text = `still here ${(rounds += 1)}`;
  bystander.send(text);
  assert.deepEqual(await bystander.next(), { kind: 'text', data: text });
}

/** `body` with a connection of its own that is closed in order afterwards. */
async function withPeer(body, { to = url, protocols = [], options = {} } = {}) {
  const peer = await Peer.connect(to, protocols, options);
  try {
    await body(peer);
    assert.deepEqual(await peer.close(1000, ''), { kind: 'close', code: 1000, reason: '' });
  } finally {
    peer.destroy();
  }
}

async function echoes(peer, data, isBinary) {
  peer.send(data, { binary: isBinary });
  const event = await peer.next(30);
  assert.equal(event.kind, isBinary ? 'binary' : 'text');
  const back = isBinary ? event.data : Buffer.from(event.data);
  assert.ok(back.equals(Buffer.from(data)), `${back.length} B came back for ${Buffer.byteLength(data)} B, or other ones`);
}

// ---- messages -----------------------------------------------------------------------------------------------

for (const size of [0, 1, 125, 126, 127, 65_535, 65_536, MIB, 15 * MIB]) {
  await check(`echo of ${size} B, text and binary`, () => withPeer(async (peer) => {
    await echoes(peer, 'x'.repeat(size), false);
    await echoes(peer, randomBytes(size), true);
    await echoes(peer, 'and on', false);
  }), { seconds: 60 });
}

await check('text of every UTF-8 length comes back as it was', () => withPeer(async (peer) => {
  for (const text of ['é', '€', '😀', '\u0000', '\ufeffbom', '\u{10ffff}', 'a\u0301', '\r\n\t"\\', '日本語'.repeat(5_000)]) {
    await echoes(peer, text, false);
  }
}));

await check('fragments with pings between them are one message', () => withPeer(async (peer) => {
  const parts = ['Stil', 'lwire ', '', '€'.repeat(200), ' end'];
  for (const [i, part] of parts.entries()) {
    peer.send(part, { fin: i === parts.length - 1 });
    if (i < parts.length - 1) peer.socket.ping(`between ${i}`);
  }
  const seen = [];
  for (let i = 0; i < parts.length; i += 1) seen.push(await peer.next());
  // Pongs keep the order of their pings; each may come before the message is whole.
  assert.deepEqual(seen.filter((event) => event.kind === 'pong').map((event) => event.data),
    ['between 0', 'between 1', 'between 2', 'between 3']);
  assert.deepEqual(seen.filter((event) => event.kind === 'text').map((event) => event.data), [parts.join('')]);
}));

await check('a character may be cut between fragments and between TCP segments', async () => {
  const raw = await Raw.to(urls.ws);
  await raw.upgrade();
  const bytes = Buffer.from('a😀b');
  for (let i = 0; i < bytes.length; i += 1) {
    const one = frame(i === 0 ? 1 : 0, bytes.subarray(i, i + 1), { fin: i === bytes.length - 1 });
    for (const byte of one) {
      raw.write(Buffer.from([byte]));
      await pause(1);
    }
  }
  assert.equal((await raw.frame()).payload.toString('utf8'), 'a😀b');
  raw.destroy();
});

await check('10,000 messages in one go come back in order', () => withPeer(async (peer) => {
  const count = 10_000;
  for (let i = 0; i < count; i += 1) peer.send(i % 2 ? `message ${i}` : Buffer.from(`message ${i}`));
  for (let i = 0; i < count; i += 1) {
    const event = await peer.next();
    assert.deepEqual([event.kind, String(event.data)], [i % 2 ? 'text' : 'binary', `message ${i}`]);
  }
}), { seconds: 60 });

await check('a client that reads late loses nothing', () => withPeer(async (peer) => {
  const count = 400;
  peer.socket.pause();
  for (let i = 0; i < count; i += 1) peer.send(Buffer.alloc(64 * KIB, i));
  await pause(500);
  await bystanderIsWell(); // one reader that sleeps stops nobody else
  peer.socket.resume();
  for (let i = 0; i < count; i += 1) {
    const { kind, data } = await peer.next();
    assert.equal(kind, 'binary');
    assert.ok(data.length === 64 * KIB && data[0] === i % 256 && data.at(-1) === i % 256, `message ${i}`);
  }
}), { seconds: 60 });

await check('every ping is answered with its own payload', () => withPeer(async (peer) => {
  for (const payload of ['', 'x', 'y'.repeat(125)]) {
    peer.socket.ping(payload);
    assert.deepEqual(await peer.next(), { kind: 'pong', data: payload });
  }
  peer.socket.pong('nobody asked'); // RFC 6455 section 5.5.3: no answer
  await echoes(peer, 'after the pong', false);
}));

await check('a compression offer is answered in order, taken or not', async () => {
  const peer = await Peer.connect(url, [], { perMessageDeflate: true });
  assert.ok(['', 'permessage-deflate'].includes(peer.socket.extensions), peer.socket.extensions);
  await echoes(peer, 'so be it '.repeat(1_000), false);
  await echoes(peer, randomBytes(70_000), true);
  assert.equal((await peer.close(1000)).code, 1000);
});

for (const [name, options] of [
  ['with takeover', {}],
  ['without takeover', { serverNoContextTakeover: true, clientNoContextTakeover: true }],
  ['with small windows', { serverMaxWindowBits: 9, clientMaxWindowBits: 10 }],
]) {
  await check(`compressed ${name}: 1 B to 16 MiB and back`, async () => {
    const peer = await Peer.connect(url, [], { perMessageDeflate: { threshold: 0, ...options } });
    if (!isOther) assert.ok(peer.socket.extensions.startsWith('permessage-deflate'), peer.socket.extensions);
    for (const size of [1, 126, 1_000, 65_536, MIB, 16 * MIB]) {
      await echoes(peer, 'compress me '.repeat(size / 12 + 1).slice(0, size), false);
      await echoes(peer, randomBytes(size), true);
      peer.socket.ping('between'); // what came before it does not disturb it
      assert.deepEqual(await peer.next(), { kind: 'pong', data: 'between' });
    }
    peer.send('frag', { fin: false });
    peer.send('ments '.repeat(10_000), { fin: true });
    assert.equal((await peer.next()).data, `frag${'ments '.repeat(10_000)}`);
    assert.equal((await peer.close(1000)).code, 1000);
  }, { seconds: 90 });
}

if (!isOther) await check('a bomb is 1009 before it explodes', async () => {
  const peer = await Peer.connect(url, [], { perMessageDeflate: true });
  peer.send('\0'.repeat(17 * MIB));
  assert.equal((await peer.next(30)).code, 1009);
  await bystanderIsWell();
}, { seconds: 60 });

// ---- handshake ----------------------------------------------------------------------------------------------

for (const [offer, chosen] of [
  [['echo'], 'echo'],
  [['chat'], 'chat'],
  [['chat', 'echo'], 'chat'],
  [['nothing', 'echo'], 'echo'],
  [[], ''],
].filter(() => !isOther)) {
  await check(`subprotocols [${offer}] give "${chosen}"`, () => withPeer(async (peer) => {
    assert.equal(peer.socket.protocol, chosen);
    await echoes(peer, 'hi', false);
  }, { protocols: offer }));
}

await check('an unknown subprotocol is not chosen', async () => {
  // The client of the standard fails such a connection itself, so this one is asked by hand.
  const raw = await Raw.to(urls.ws);
  const answer = await raw.upgrade('/', 'Sec-WebSocket-Protocol: nothing, of, ours\r\n');
  assert.equal(answer.headers['sec-websocket-protocol'], undefined);
  raw.write(frame(1, 'hi'));
  assert.equal((await raw.frame()).payload.toString(), 'hi');
  raw.destroy();
});

if (!isOther) await check('subprotocols over several header lines are one list', async () => {
  const raw = await Raw.to(urls.ws);
  const answer = await raw.upgrade('/', 'Sec-WebSocket-Protocol: nothing\r\nSec-WebSocket-Protocol: chat\r\n');
  assert.deepEqual(answer.headers['sec-websocket-protocol'], ['chat']);
  raw.destroy();
});

await check('frames that come with the handshake in one segment are not lost', async () => {
  const raw = await Raw.to(urls.ws);
  raw.write(Buffer.concat([
    Buffer.from('GET /any/path?and=query HTTP/1.1\r\nhost: x\r\nconnection: keep-alive, UPGRADE\r\nupgrade: WebSocket\r\n' +
      'sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'),
    frame(1, 'early'),
    frame(2, 'bird'),
  ]));
  const answer = await raw.response();
  assert.equal(answer.status, 101);
  assert.deepEqual(answer.headers['sec-websocket-accept'], ['s3pPLMBiTxaQ9kYGzzhZRbK+xOo=']); // RFC 6455 section 1.3
  assert.equal((await raw.frame()).payload.toString(), 'early');
  const second = await raw.frame();
  assert.deepEqual([second.opcode, second.payload.toString()], [2, 'bird']);
  raw.destroy();
});

const GOOD = {
  Host: '127.0.0.1', Upgrade: 'websocket', Connection: 'Upgrade',
  'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==', 'Sec-WebSocket-Version': '13',
};
for (const [name, first, change, allowed] of [
  ['no key', 'GET / HTTP/1.1', { 'Sec-WebSocket-Key': null }, [400]],
  ['a key of 3 characters', 'GET / HTTP/1.1', { 'Sec-WebSocket-Key': 'abc' }, [400]],
  ['two keys', 'GET / HTTP/1.1', { 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==' }, [400]],
  ['no version', 'GET / HTTP/1.1', { 'Sec-WebSocket-Version': null }, [400, 426]],
  ['version 8', 'GET / HTTP/1.1', { 'Sec-WebSocket-Version': '8' }, [400, 426]],
  ['no Upgrade', 'GET / HTTP/1.1', { Upgrade: null }, [400, 404, 426]],
  ['Connection: NotUpgradeX', 'GET / HTTP/1.1', { Connection: 'NotUpgradeX' }, [400, 404, 426]],
  ['no Host', 'GET / HTTP/1.1', { Host: null }, [400]],
  ['POST', 'POST / HTTP/1.1', {}, [400, 405]],
  ['HTTP/1.0', 'GET / HTTP/1.0', {}, [400, 426, 505]],
  ['a body', 'GET / HTTP/1.1', { 'Content-Length': '5' }, [400, 413]],
]) {
  await check(`a handshake with ${name} is refused`, async () => {
    const raw = await Raw.to(urls.ws);
    const fields = Object.entries({ ...GOOD, ...change }).filter(([, value]) => value !== null);
    raw.write(`${first}\r\n${fields.map(([field, value]) => `${field}: ${value}\r\n`).join('')}\r\n`);
    if (name === 'a body') raw.write('hello');
    const answer = await raw.response();
    assert.ok(allowed.includes(answer.status), `status ${answer.status}, expected one of ${allowed}`);
    if (name === 'version 8') assert.deepEqual(answer.headers['sec-websocket-version'], ['13']); // section 4.4
    raw.destroy();
    await bystanderIsWell();
  });
}

// ---- endings ------------------------------------------------------------------------------------------------

for (const [code, reason] of [[1000, ''], [1000, 'done'], [1001, 'going away'], [3000, 'ours'], [4999, '€'.repeat(41)]]) {
  await check(`a close with ${code} and ${Buffer.byteLength(reason)} B of reason is answered with ${code}`, async () => {
    const peer = await Peer.connect(url);
    const answer = await peer.close(code, reason);
    assert.equal(answer.code, code); // RFC 6455 section 5.5.1 echoes the code; the reason need not come back
    assert.ok(['', reason].includes(answer.reason), answer.reason);
  });
}

await check('a close without a code is answered', async () => {
  const peer = await Peer.connect(url);
  const { code } = await peer.close();
  assert.ok(code === 1005 || code === 1000, `code ${code}`);
});

await check('after the closing handshake the server ends TCP first', async () => {
  const raw = await Raw.to(urls.ws);
  await raw.upgrade();
  raw.write(frame(8, closing(1000, 'bye')));
  const close = await raw.closeFrame();
  assert.equal(close.code, 1000);
  assert.equal((await raw.ended(5)).length, 0); // our half is still open
  raw.finish();
});

await check('messages that came before the close are answered before it', async () => {
  const raw = await Raw.to(urls.ws);
  await raw.upgrade();
  raw.write(Buffer.concat([frame(1, 'one'), frame(1, 'two'), frame(8, closing(1000)), frame(1, 'too late')]));
  const close = await raw.closeFrame();
  assert.deepEqual(close.before.map((one) => one.payload.toString()), ['one', 'two']);
  assert.equal((await raw.ended()).length, 0);
  raw.destroy();
});

await check('a client that goes without a word harms nobody', async () => {
  for (let i = 0; i < 20; i += 1) {
    const raw = await Raw.to(urls.ws);
    await raw.upgrade();
    raw.write(frame(2, Buffer.alloc(100_000)).subarray(0, 50_000));
    raw.destroy();
  }
  await bystanderIsWell();
});

// ---- limits -------------------------------------------------------------------------------------------------

async function limits(small) {
  await check('ws-small: 64 KiB pass, one byte more is refused with 1009', async () => {
    const peer = await Peer.connect(asWebSocket(small));
    await echoes(peer, randomBytes(64 * KIB), true);
    peer.send(randomBytes(64 * KIB + 1));
    const event = await peer.next();
    assert.deepEqual([event.kind, event.code], ['close', 1009]);
  });

  await check('ws-small: the sum of the fragments counts', async () => {
    const peer = await Peer.connect(asWebSocket(small));
    for (let i = 0; i < 5; i += 1) peer.send(randomBytes(16 * KIB), { fin: false, binary: true });
    const event = await peer.next();
    assert.deepEqual([event.kind, event.code], ['close', 1009]);
  });

  await check('ws-small: a declared length over the limit is refused at once', async () => {
    for (const declared of [64 * KIB + 1, 2 ** 31, 2n ** 32n + 1n, 2n ** 63n - 1n]) {
      const raw = await Raw.to(small);
      await raw.upgrade();
      raw.write(frame(2, 'only the beginning', { declared, lengthBytes: 8 }));
      assert.equal((await raw.closeFrame()).code, 1009, `declared ${declared}`);
      await raw.ended(10, { orReset: true });
      raw.destroy();
    }
  });

  await check('ws-small: 1,000 fragments pass, endless empty ones do not', async () => {
    const raw = await Raw.to(small);
    await raw.upgrade();
    const piece = (fin) => frame(0, 'x', { fin });
    raw.write(Buffer.concat([frame(1, 'x', { fin: false }), ...Array.from({ length: 998 }, () => piece(false)), piece(true)]));
    assert.equal((await raw.frame()).payload.length, 1_000);
    raw.write(Buffer.concat([frame(1, '', { fin: false }), ...Array.from({ length: 1_100 }, () => frame(0, '', { fin: false }))]));
    const { code } = await raw.closeFrame();
    assert.ok(code === 1008 || code === 1009, `code ${code}`);
    raw.destroy();
  });
}
if (!isOther) await limits(urls['ws-small']);

// ---- violations ---------------------------------------------------------------------------------------------

const nonMinimal16 = frame(1, 'hi', { lengthBytes: 2 });
const nonMinimal64 = frame(1, 'hi', { lengthBytes: 8 });
for (const [name, bytes, code] of [
  ['an unmasked frame', frame(1, 'hi', { mask: false }), 1002],
  ['an unmasked close', frame(8, closing(1000), { mask: false }), 1002],
  ['RSV1', frame(1, 'hi', { rsv: 4 }), 1002],
  ['RSV2', frame(1, 'hi', { rsv: 2 }), 1002],
  ['RSV3', frame(1, 'hi', { rsv: 1 }), 1002],
  ['opcode 3', frame(3, 'hi'), 1002],
  ['opcode 15', frame(15, ''), 1002],
  ['a ping of 126 B', frame(9, 'x'.repeat(126)), 1002],
  ['a pong of 126 B', frame(10, 'x'.repeat(126)), 1002],
  ['a close of 126 B', frame(8, closing(1000, 'x'.repeat(124))), 1002],
  ['a fragmented ping', frame(9, 'x', { fin: false }), 1002],
  ['a length of 2 in 16 bits', nonMinimal16, 1002],
  ['a length of 2 in 64 bits', nonMinimal64, 1002],
  ['a length of 2 to the 63', frame(2, '', { declared: 2n ** 63n, lengthBytes: 8 }), 1002],
  ['a continuation of nothing', frame(0, 'hi'), 1002],
  ['a new message inside a message', Buffer.concat([frame(1, 'a', { fin: false }), frame(1, 'b')]), 1002],
  ['a close of 1 byte', frame(8, 'x'), 1002],
  ['close code 999', frame(8, closing(999)), 1002],
  ['close code 1004', frame(8, closing(1004)), 1002],
  ['close code 1005', frame(8, closing(1005)), 1002],
  ['close code 1006', frame(8, closing(1006)), 1002],
  ['close code 1015', frame(8, closing(1015)), 1002],
  ['close code 2999', frame(8, closing(2999)), 1002],
  ['close code 5000', frame(8, closing(5000)), 1002],
  ['a close reason that is not UTF-8', frame(8, Buffer.concat([closing(1000), Buffer.from([0xff])])), 1007],
  ['text with a stray byte', frame(1, Buffer.from([0x68, 0xff])), 1007],
  ['text with a surrogate', frame(1, Buffer.from([0xed, 0xa0, 0x80])), 1007],
  ['text in an overlong form', frame(1, Buffer.from([0xc0, 0xaf])), 1007],
  ['text above U+10FFFF', frame(1, Buffer.from([0xf4, 0x90, 0x80, 0x80])), 1007],
  ['text that ends inside a character', frame(1, Buffer.from([0x61, 0xe2, 0x82])), 1007],
  ['fragments that end inside a character',
    Buffer.concat([frame(1, Buffer.from([0x61]), { fin: false }), frame(0, Buffer.from([0xe2, 0x82]))]), 1007],
  ['bad text in the first of endless fragments', frame(1, Buffer.from([0x61, 0xc3, 0x28]), { fin: false }), 1007],
]) {
  await check(`${name}: ${code}, then the end`, async () => {
    const raw = await Raw.to(urls.ws);
    await raw.upgrade();
    raw.write(frame(1, 'before'), bytes);
    const close = await raw.closeFrame();
    assert.deepEqual(close.before.map((one) => one.payload.toString()), ['before']);
    assert.equal(close.code, code, `closed with ${close.code} ${close.reason}`);
    assert.equal(close.masked, false);
    raw.write(frame(1, 'after')); // nothing is answered any more
    assert.equal((await raw.ended(10, { orReset: true })).length, 0);
    raw.destroy();
    await bystanderIsWell();
  });
}

await check('64 connections at once are 64 conversations', async () => {
  const peers = await Promise.all(Array.from({ length: 64 }, () => Peer.connect(url)));
  await within(20, 'all echoes', Promise.all(peers.map(async (peer, i) => {
    for (let n = 0; n < 50; n += 1) {
      peer.send(`${i}:${n}`);
      assert.deepEqual(await peer.next(), { kind: 'text', data: `${i}:${n}` });
    }
    assert.equal((await peer.close(1000)).code, 1000);
  })));
});

await finish();
