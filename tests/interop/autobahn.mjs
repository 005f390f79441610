// The Autobahn testsuite: its fuzzing client against our WebSocket server, its fuzzing server against our client
// (`interop-client echo URL`: everything back until the server closes, exit code 0 after a closing handshake).
// Each way 301 cases of the protocol and some of 12 and 13, permessage-deflate, strictly; with `--full` all 517.
//
//   node autobahn.mjs FOLDER [--full]     where its virtual environment (FOLDER/venv) and its reports go
//
// As the client under test it is called by autobahn/run-client.sh: node autobahn.mjs --client

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { assert, check, finish, leave, within } from './lib/harness.mjs';
import { Program, needed } from './lib/process.mjs';
import { asWebSocket, services } from './lib/server.mjs';

const client = needed('INTEROP_CLIENT', 'the path of the program interop-client');

if (process.argv[2] === '--client') {
  const { AUTOBAHN_URL: url, AUTOBAHN_AGENT: agent } = process.env;
  const asking = new Program(client, ['ws', `${url}/getCaseCount`]);
  assert.deepEqual(JSON.parse(await asking.line()), { kind: 'open', data: '' });
  const count = Number(JSON.parse(await asking.line()).data);
  await asking.end();
  for (let i = 1; i <= count; i += 1) {
    await new Program(client, ['echo', '--deflate', `${url}/runCase?case=${i}&agent=${agent}`]).end(300);
  }
  await new Program(client, ['ws', `${url}/updateReports?agent=${agent}`]).end(60);
  leave(count > 0 ? 0 : 1);
}

const folder = process.argv[2];
const isFull = process.argv[3] === '--full';
const limit = isFull ? 2400 : 400;
// Each size of 12 by one case with all its settings, and each offer of 13: a window of 9 bits, no takeover, several offers.
const cases = isFull ? '*' : ['1.*', '2.*', '3.*', '4.*', '5.*', '6.*', '7.*', '9.*', '10.*', '12.1.1', '12.2.5', '12.3.3',
  '12.4.10', '12.5.12', '13.1.1', '13.2.5', '13.3.1', '13.4.5', '13.5.1', '13.6.5', '13.7.10'].join(',');
const { ws } = await services('ws');

/** One of the scripts of autobahn/: it prints a summary and exits 0 only when every case is good. */
async function run(script, args, env) {
  const child = spawn('bash', [join(import.meta.dirname, 'autobahn', script), ...args], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: {
      ...process.env, VENV: join(folder, 'venv'), CASES: cases, CHECK: '--strict', LIMIT: String(limit), ...env,
    },
  });
  try {
    const [code, signal] = await within(limit + 150, `${script} ends`, once(child, 'exit'));
    assert.equal(code, 0, `${script} ended with ${signal ?? code}`);
  } finally {
    child.kill();
  }
}

await check('our server: the fuzzing client is content', () =>
  run('run-server.sh', [`${asWebSocket(ws)}/`], { OUT: join(folder, 'server'), AGENT: 'stillwire-server', ENGINE: 'kosoku' }), { seconds: limit + 200 });
await check('our client: the fuzzing server is content', () =>
  run('run-client.sh', [process.execPath, join(import.meta.dirname, 'autobahn.mjs'), '--client'], { OUT: join(folder, 'client'), AGENT: 'stillwire-client' }), { seconds: limit + 200 });

await finish();
