// The Autobahn testsuite: its fuzzing client against our WebSocket server, its fuzzing server against our client
// (`interop-client echo URL`: everything back until the server closes, exit code 0 after a closing handshake).
// 301 cases each way, strictly; 12 and 13 are permessage-deflate.
//
//   node autobahn.mjs FOLDER     where its virtual environment (FOLDER/venv) and its reports go
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
    await new Program(client, ['echo', `${url}/runCase?case=${i}&agent=${agent}`]).end(60);
  }
  await new Program(client, ['ws', `${url}/updateReports?agent=${agent}`]).end(60);
  leave(count > 0 ? 0 : 1);
}

const folder = process.argv[2];
const { ws } = await services('ws');

/** One of the scripts of autobahn/: it prints a summary and exits 0 only when every case is good. */
async function run(script, args, env) {
  const child = spawn('bash', [join(import.meta.dirname, 'autobahn', script), ...args], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: {
      ...process.env, VENV: join(folder, 'venv'), EXCLUDE: '12.*,13.*', CHECK: '--strict', LIMIT: '400', ...env,
    },
  });
  try {
    const [code, signal] = await within(550, `${script} ends`, once(child, 'exit'));
    assert.equal(code, 0, `${script} ended with ${signal ?? code}`);
  } finally {
    child.kill();
  }
}

await check('our server: the fuzzing client is content', () =>
  run('run-server.sh', [`${asWebSocket(ws)}/`], { OUT: join(folder, 'server'), AGENT: 'stillwire-server', ENGINE: 'kosoku' }), { seconds: 600 });
await check('our client: the fuzzing server is content', () =>
  run('run-client.sh', [process.execPath, join(import.meta.dirname, 'autobahn.mjs'), '--client'], { OUT: join(folder, 'client'), AGENT: 'stillwire-client' }), { seconds: 600 });

await finish();
