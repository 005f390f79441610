// The command line's clients against servers that are not ours: npm ws, Node's HTTP and HTTPS, and a polling server in Node.
//
// CLI is the program `stillwire`; TLS a folder with certificate.pem and key.pem, for 127.0.0.1.

import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { connect } from 'node:net';
import { join } from 'node:path';
import { WebSocketServer } from 'ws';
import { assert, atEnd, check, finish } from './lib/harness.mjs';
import { servePolling } from './lib/polling-server.mjs';
import { Program, needed } from './lib/process.mjs';

const CLI = needed('CLI', 'the path of the program stillwire');
const cacert = join(needed('TLS', 'the folder of the certificate'), 'certificate.pem');
const tls = { cert: readFileSync(cacert), key: readFileSync(join(process.env.TLS, 'key.pem')) };
const cli = (...args) => new Program(CLI, args);

/** What a client says and how it ends, with this standard input. */
async function run(args, input = '') {
  const client = cli(...args);
  client.child.stdin.end(input);
  const { code } = await client.end(20);
  return { code, lines: client.lines, errors: client.errors };
}

async function listening(server) {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(() => {
    server.close();
    server.closeAllConnections();
  });
  return server.address().port;
}

// ---- ws ------------------------------------------------------------------------------------------------------------

const sockets = [];
function echo(server) {
  const wss = new WebSocketServer({
    server, perMessageDeflate: { threshold: 0 }, handleProtocols: (names) => (names.has('b') ? 'b' : false),
    verifyClient: ({ req }) => req.url !== '/refused',
  });
  wss.on('connection', (socket, request) => {
    sockets.push({ socket, request });
    socket.on('message', (data, binary) => {
      if (String(data) === 'bye') socket.close(4001, 'as you say');
      else if (String(data) === 'drop') socket.terminate();
      else socket.send(data, { binary });
    });
  });
}
const [plain, secure] = [createServer(), createSecureServer(tls)];
for (const server of [plain, secure]) echo(server);
const ws = `ws://127.0.0.1:${await listening(plain)}`;
const wss = `wss://127.0.0.1:${await listening(secure)}`;

const tunnels = [];
const proxy = createServer();
proxy.on('connect', (request, near) => {
  tunnels.push([request.url, request.headers['proxy-authorization']]);
  const [host, port] = request.url.split(':');
  const far = connect(port, host, () => {
    near.write('HTTP/1.1 200 OK\r\n\r\n');
    near.pipe(far).pipe(near);
  });
  for (const socket of [near, far]) socket.on('error', () => { near.destroy(); far.destroy(); });
});
const through = `http://127.0.0.1:${await listening(proxy)}`;

await check('ws: lines go and come back, and the goodbye is said', async () => {
  const { code, lines, errors } = await run(['ws', ws, '-H', 'x-a: b', '--subprotocol', 'a', '--subprotocol', 'b'], 'one\nzwei é\n\nlast');
  assert.deepEqual([code, lines], [0, ['one', 'zwei é', '', 'last']]);
  assert.match(errors, /open: .*, subprotocol b\n.*closed, code 1000/);
  assert.equal(sockets.at(-1).request.headers['x-a'], 'b');
});

await check('ws: --json, --binary, the time', async () => {
  const from = Date.now() / 1000 - 1;
  const bytes = randomBytes(300).toString('base64');
  const { code, lines } = await run(['ws', '--json', '--binary', '--wait', '0.3', ws], `${bytes}\n\n`);
  const said = lines.map((line) => JSON.parse(line));
  assert.equal(code, 0);
  assert.deepEqual(said.map(({ kind }) => kind), ['binary', 'binary', 'closed']);
  assert.deepEqual([said[0].base64, said[1].base64, said[2].code], [bytes, '', 1000]);
  assert.ok(said.every(({ time }) => time > from && time < from + 60));
});

await check('ws: TLS with --cacert, through a proxy, compressed, 2,000 lines', async () => {
  const lines = Array.from({ length: 2_000 }, (_, i) => `${i} ${'x'.repeat(i % 400)}`);
  const args = ['--deflate', '--cacert', cacert, '--proxy', through, '--proxy-user', 'me:secret', '--count', '2000', '--wait', 'forever'];
  const { code, lines: came } = await run(['ws', ...args, `${wss}/`], `${lines.join('\n')}\n`);
  assert.equal(code, 0);
  assert.deepEqual(came, lines);
  assert.deepEqual(tunnels.splice(0), [[wss.slice(6), 'Basic bWU6c2VjcmV0']]);
  assert.match(sockets.at(-1).socket.extensions, /permessage-deflate/);
});

await check('ws: typed line by line; -m, --listen and --count', async () => {
  const client = cli('ws', ws);
  for (let i = 0; i < 3; i += 1) {
    client.write(`line ${i}\n`);
    assert.equal(await client.line(), `line ${i}`);
  }
  assert.equal((await client.stop()).code, 0);
  assert.deepEqual(await run(['ws', '-m', 'a', '-m', 'b', '-m', 'c', '--listen', '--count', '2', ws]).then(({ code, lines }) => [code, lines]), [0, ['a', 'b']]);
});

await check('ws: refused, dropped, not trusted, ended by the server, too few: 1; a wrong command line: 2', async () => {
  for (const [args, input, why] of [
    [[`${ws}/refused`], '', /401/], [[ws, '--wait', '5'], 'drop\n', /1006|reset|without/], [[wss], '', /certificate/i],
    [[ws, '--wait', '5'], 'bye\n', /code 4001 as you say/], [[ws, '--count', '2', '--wait', '0.3'], 'one\n', /1 of 2/], [['ws://127.0.0.1:1/'], '', /refused/],
    [['http://127.0.0.1/'], '', /scheme/], [[ws, '--cacert', '/nowhere.pem'], '', /nowhere/], [[ws, '--binary'], '%\n', /ymbol|base64|padding/],
  ]) {
    const { code, errors } = await run(['ws', ...args], input);
    assert.equal(code, 1, `${args}: ${errors}`);
    assert.match(errors, why);
  }
  for (const args of [['ws'], ['ws', ws, '--insecure'], ['ws', ws, '-H', 'x'], ['poll', ws, '--count', '0'], ['sse']]) {
    assert.equal((await run(args)).code, 2, args.join(' '));
  }
});

// ---- sse -----------------------------------------------------------------------------------------------------------

await check('sse: over TLS and a proxy, over two connections', async () => {
  const requests = [];
  const server = createSecureServer(tls, (request, response) => {
    requests.push(request.headers);
    if (requests.length > 2) return response.writeHead(204).end();
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.end(`retry: 1\n\nid: ${requests.length}\nevent: tick\ndata: a\ndata: ${requests.length}\n\n`);
  });
  const url = `https://127.0.0.1:${await listening(server)}/`;
  const { code, lines, errors } = await run(['sse', '--json', '--cacert', cacert, '--proxy', through, '-H', 'x-a: b', url]);
  assert.equal(code, 0, errors);
  assert.deepEqual(lines.map((line) => JSON.parse(line)), [1, 2].map((n) => ({ event: 'tick', data: `a\n${n}`, id: `${n}` })));
  assert.deepEqual(requests.map((headers) => [headers['last-event-id'], headers['x-a']]), [[undefined, 'b'], ['1', 'b'], ['2', 'b']]);
  assert.equal(tunnels.splice(0).length, 3);
  const distrusted = await run(['sse', '--max-attempts', '0', url]);
  assert.equal(distrusted.code, 1);
});

// ---- poll ----------------------------------------------------------------------------------------------------------

async function polling(mishap, server = createServer()) {
  const seen = await servePolling(server, '/base', mishap);
  atEnd(() => {
    server.close();
    server.closeAllConnections();
  });
  return Object.assign(seen, { url: `http://127.0.0.1:${seen.port}/base` });
}

await check('poll: lines go and come back, and the goodbye is said', async () => {
  const server = await polling();
  const lines = Array.from({ length: 100 }, (_, i) => `${i} "é" ${'x'.repeat(i)}`);
  const { code, lines: came, errors } = await run(['poll', '-H', 'cookie: a=b', '--count', '100', '--wait', 'forever', `${server.url}/`], `${lines.join('\n')}\n`);
  assert.equal(code, 0, errors);
  assert.deepEqual(came, lines);
  assert.deepEqual([server.messages, server.closed?.code], [lines, 1000]);
  assert.ok(server.headers.every(({ cookie }) => cookie === 'a=b'));
  assert.ok(server.counts.send < 30, `${server.counts.send} requests`);
});

await check('poll: answers are lost and servers refuse: every line once, in order, and told on standard error', async () => {
  const server = await polling((kind, n) => ({ 1: 'refused', 2: 'lost', 4: 'lost', 5: 'refused' })[n]);
  const lines = Array.from({ length: 60 }, (_, i) => `line ${i}`);
  const { code, lines: came, errors } = await run(['poll', '--json', '--retry', '10', '--count', '60', '--wait', 'forever', server.url], `${lines.join('\n')}\n`);
  assert.equal(code, 0, errors);
  assert.deepEqual(came.slice(0, -1).map((line) => JSON.parse(line).text), lines);
  assert.deepEqual(server.messages, lines);
  for (const why of [/to open a session failed: status 503/, /to receive failed/, /to send failed/]) assert.match(errors, why);
});

await check('poll: binary; the server ends it; a session that is gone; nobody there; https', async () => {
  const server = await polling();
  let client = cli('poll', '--json', '--listen', server.url);
  while (server.sessions.size === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  server.say({ b64: 'AAEC' });
  assert.equal(JSON.parse(await client.line()).base64, 'AAEC');
  server.end(4002, 'enough');
  assert.equal(JSON.parse(await client.line()).reason, 'enough');
  assert.equal((await client.end()).code, 1);

  client = cli('poll', '--listen', server.url);
  while (server.counts.receive < 3) await new Promise((resolve) => setTimeout(resolve, 5));
  server.forget();
  assert.equal((await client.end()).code, 1);
  assert.match(client.errors, /does not know the session/);

  const nobody = await run(['poll', '--retries', '1', '--retry', '1', 'http://127.0.0.1:1/']);
  assert.equal(nobody.code, 1);
  assert.match(nobody.errors, /refused[\s\S]*2 requests failed in a row/);

  const secured = await polling(undefined, createSecureServer(tls));
  const { code, lines } = await run(['poll', '--cacert', cacert, '--count', '1', '--wait', '9', secured.url.replace('http', 'https')], 'secret\n');
  assert.deepEqual([code, lines], [0, ['secret']]);
});

await finish();
