// A server of the long-polling protocol in Node, written from its definition (core/src/polling/mod.rs) and nothing else. It echoes.

import { randomBytes } from 'node:crypto';
import { once } from 'node:events';

const WAIT = 2_000;
const BYTES = 4_096;
const MESSAGES = 8;

/**
 * Adds the protocol below `base` to an HTTP server. `mishap(kind, n)` is asked at the n-th request of a kind (open, receive, send,
 * close) whether something goes wrong: 'lost' (it is served and the answer is lost), 'refused' (503, nothing is done).
 */
export async function servePolling(server, base, mishap = () => undefined) {
  const sessions = new Map();
  const counts = { open: 0, receive: 0, send: 0, close: 0 };
  const seen = { counts, headers: [], messages: [], closed: undefined };

  server.on('request', async (request, response) => {
    const url = new URL(request.url, 'http://x');
    let body = '';
    for await (const piece of request.setEncoding('utf8')) body += piece;
    seen.headers.push(request.headers);
    const [, name] = new RegExp(`^${base}/([^/]+)$`).exec(url.pathname) ?? [];
    const kind = { POST: name === 'open' ? 'open' : 'send', GET: 'receive', DELETE: 'close' }[request.method];
    if (!name || !kind) return response.writeHead(404).end('{"error":"?"}');
    counts[kind] += 1;
    const wrong = mishap(kind, counts[kind]);
    if (wrong === 'refused') return response.writeHead(503).end();
    const answer = (status, what) => {
      if (wrong === 'lost') return response.destroy();
      const text = what === undefined ? '' : JSON.stringify(what, undefined, 1); // any formatting is JSON
      response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' }).end(text);
    };
    if (kind === 'open') {
      const sid = randomBytes(16).toString('base64url');
      sessions.set(sid, { expected: 1, last: 0, waiting: [], seat: undefined });
      return answer(200, { sid, wait_ms: WAIT, max_bytes: BYTES, max_messages: MESSAGES, more: [null] });
    }
    const session = sessions.get(name);
    if (!session) return answer(404, { error: 'no such session' });
    if (kind === 'close') {
      session.seat?.(204);
      sessions.delete(name);
      seen.closed ??= { code: 1000, reason: '' };
      return answer(204);
    }
    if (kind === 'send') {
      const { seq, messages, closed } = JSON.parse(body);
      if (body.length > BYTES || messages.length > MESSAGES) return answer(413, { error: 'too large' });
      if (seq > session.expected) return answer(409, { error: 'out of step', expected: session.expected });
      const all = closed ? [...messages, { closed }] : messages;
      for (const message of all.slice(session.expected - seq)) {
        session.expected += 1;
        if (message.closed) {
          seen.closed = message.closed;
          sessions.delete(name);
          session.seat?.(204);
        } else {
          seen.messages.push(message);
          say(session, message);
        }
      }
      return answer(200, { ack: session.expected - 1 });
    }
    const after = Number(url.searchParams.get('after'));
    const oldest = session.last - session.waiting.length + 1;
    if (after < oldest - 1 || after > session.last) return answer(409, { error: 'out of step', oldest });
    session.waiting.splice(0, after - (oldest - 1));
    session.seat?.(204);
    const serve = (status) => {
      clearTimeout(timer);
      session.seat = undefined;
      if (status === 204 || session.waiting.length === 0) return answer(204);
      const first = session.last - session.waiting.length;
      const end = session.waiting.findIndex((message) => message.closed);
      const messages = session.waiting.slice(0, end < 0 ? MESSAGES : Math.min(end, MESSAGES));
      const closed = end >= 0 && messages.length === end ? session.waiting[end].closed : undefined;
      answer(200, { last: first + messages.length + (closed ? 1 : 0), messages, ...(closed && { closed }) });
    };
    const timer = setTimeout(serve, WAIT, 204);
    if (session.waiting.length > 0) serve(200);
    else session.seat = serve;
  });

  function say(session, message) {
    session.waiting.push(message);
    session.last += 1;
    session.seat?.(200);
  }
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return Object.assign(seen, {
    port: server.address().port,
    /** To every session. */
    say: (message) => [...sessions.values()].forEach((session) => say(session, message)),
    end: (code, reason) => [...sessions.values()].forEach((session) => say(session, { closed: { code, reason } })),
    forget: () => sessions.clear(),
    sessions,
  });
}
