// The interop server under test: one program, one line of JSON with the URL of each service.

import { atEnd, within } from './harness.mjs';
import { Program, needed } from './process.mjs';

/** Starts the program that INTEROP_SERVER names, limited to `keys`; `portBase` gives it fixed ports. */
export async function startServer(keys, { portBase } = {}) {
  const file = needed('INTEROP_SERVER', 'the path of the program interop-server');
  const args = ['--only', keys.join(',')];
  if (portBase !== undefined) args.push('--port-base', String(portBase));
  const program = new Program(file, args);
  let urls;
  try {
    urls = JSON.parse(await program.line(20));
  } catch (error) {
    await program.kill();
    throw error;
  }
  for (const key of keys) {
    if (typeof urls[key] !== 'string') throw new Error(`the server tells no URL for ${key}: ${JSON.stringify(urls)}`);
  }
  return { urls, stop: () => program.stop(), kill: () => program.kill(), program };
}

/** The URLs for `keys`: of a server that runs already (INTEROP_URLS, its line of JSON), else of a new one. */
export async function services(...keys) {
  if (process.env.INTEROP_URLS) return JSON.parse(process.env.INTEROP_URLS);
  const server = await within(30, 'the interop server is up', startServer(keys));
  atEnd(async () => {
    const { code, signal } = await server.stop();
    if (code !== 0) throw new Error(`the server ended with ${signal ?? code}; its log:\n${server.program.errors}`);
  });
  return server.urls;
}

/** `http://…` as `ws://…`. */
export const asWebSocket = (url) => url.replace(/^http/, 'ws');
