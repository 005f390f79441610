// A TCP server on a free port that hands each connection to a function as a `Raw`: a peer that misbehaves on purpose.

import net from 'node:net';
import { once } from 'node:events';
import { acceptFor, Raw } from './raw.mjs';

/** Listens until `close`; `serve(raw, request)` gets each connection with its request head already taken. */
export async function rawServer(serve) {
  const failures = [];
  const server = net.createServer({ allowHalfOpen: true }, async (socket) => {
    const raw = new Raw(socket);
    try {
      const head = (await raw.through('\r\n\r\n')).toString('latin1');
      const key = /^sec-websocket-key: *(\S+)\r$/im.exec(head)?.[1] ?? '';
      await serve(raw, { head, accept: acceptFor(key) });
    } catch (error) {
      failures.push(error);
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const sockets = new Set();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  return {
    url: `ws://127.0.0.1:${server.address().port}`,
    /** Ends everything; throws what went wrong in `serve`. */
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      if (failures.length > 0) throw failures[0];
    },
  };
}

/** The head of a 101 that agrees; `change` replaces lines, `null` leaves one out. */
export function switching(accept, change = {}) {
  const fields = { Upgrade: 'websocket', Connection: 'Upgrade', 'Sec-WebSocket-Accept': accept, ...change };
  const lines = Object.entries(fields).filter(([, value]) => value !== null).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 101 Switching Protocols\r\n${lines.join('')}\r\n`;
}
