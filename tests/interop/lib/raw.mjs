// A plain TCP connection that says exactly the bytes it is told to say: what no proper client would do.

import { once } from 'node:events';
import net from 'node:net';
import { createHash, randomBytes } from 'node:crypto';
import { within } from './harness.mjs';

export class Raw {
  constructor(socket) {
    this.socket = socket;
    this.bytes = Buffer.alloc(0);
    this.isEnded = false;
    this.error = null;
    this.wake = () => {};
    socket.setNoDelay(true);
    socket.on('data', (bytes) => {
      this.bytes = Buffer.concat([this.bytes, bytes]);
      this.wake();
    });
    const end = (error) => {
      this.isEnded = true;
      this.error ??= error ?? null;
      this.wake();
    };
    socket.on('end', () => end());
    socket.on('close', () => end());
    socket.on('error', end);
  }

  static async to(url) {
    const { hostname, port } = new URL(url);
    const socket = net.connect({ host: hostname, port: Number(port), allowHalfOpen: true });
    await within(10, `a connection to ${hostname}:${port}`, once(socket, 'connect'));
    return new Raw(socket);
  }

  write(...parts) {
    for (const part of parts) this.socket.write(part);
    return this;
  }

  /** Says that nothing more will be said: the half of TCP's close that is ours. */
  finish() {
    this.socket.end();
    return this;
  }

  destroy() {
    this.socket.destroy();
  }

  async #until(done, seconds, what) {
    const start = Date.now();
    while (!done()) {
      const left = seconds - (Date.now() - start) / 1000;
      const seen = () => `${what}; seen so far: ${JSON.stringify(this.bytes.toString('latin1').slice(0, 300))}`;
      if (this.isEnded) throw new Error(`the connection ended (${this.error?.code ?? 'in order'}) before ${seen()}`);
      if (left <= 0) throw new Error(`not within ${seconds} s: ${seen()}`);
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, left * 1000);
        this.wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** Takes exactly `n` bytes. */
  async take(n, seconds = 10) {
    await this.#until(() => this.bytes.length >= n, seconds, `${n} bytes`);
    const taken = this.bytes.subarray(0, n);
    this.bytes = this.bytes.subarray(n);
    return taken;
  }

  /** Takes everything up to and with `mark`. */
  async through(mark, seconds = 10) {
    await this.#until(() => this.bytes.includes(mark), seconds, `the mark ${JSON.stringify(mark)}`);
    return this.take(this.bytes.indexOf(mark) + Buffer.byteLength(mark), seconds);
  }

  /** Waits for the peer's end of the connection; a reset counts as an end only when `orReset`. */
  async ended(seconds = 10, { orReset = false } = {}) {
    const start = Date.now();
    while (!this.isEnded) {
      if (Date.now() - start > seconds * 1000) throw new Error(`the peer did not end the connection within ${seconds} s`);
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, 200);
        this.wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    if (this.error && !orReset) throw new Error(`the peer reset the connection: ${this.error.code}`);
    return this.bytes;
  }

  /** Takes one HTTP response: status, headers (names in lower case, a list each), body as text. */
  async response({ seconds = 10, bodiless = false } = {}) {
    const head = (await this.through('\r\n\r\n', seconds)).toString('latin1');
    const [first, ...fields] = head.trimEnd().split('\r\n');
    const match = /^HTTP\/1\.([01]) (\d{3}) /.exec(`${first} `);
    if (!match) throw new Error(`no HTTP response: ${JSON.stringify(first)}`);
    const headers = {};
    for (const field of fields) {
      const colon = field.indexOf(':');
      if (colon < 1) throw new Error(`no header field: ${JSON.stringify(field)}`);
      (headers[field.slice(0, colon).toLowerCase()] ??= []).push(field.slice(colon + 1).trim());
    }
    const status = Number(match[2]);
    let body = Buffer.alloc(0);
    if (bodiless || status < 200 || status === 204 || status === 304) {
      // no body, whatever the head says (RFC 9112 section 6.3)
    } else if (headers['transfer-encoding']?.at(-1) === 'chunked') {
      const parts = [];
      for (;;) {
        const size = parseInt((await this.through('\r\n', seconds)).toString('latin1'), 16);
        parts.push(await this.take(size, seconds));
        await this.through('\r\n', seconds);
        if (size === 0) break;
      }
      body = Buffer.concat(parts);
    } else if (headers['content-length']) {
      body = await this.take(Number(headers['content-length'][0]), seconds);
    } else {
      body = await this.ended(seconds);
      this.bytes = Buffer.alloc(0);
    }
    return { status, headers, body: body.toString('utf8') };
  }

  /** The opening handshake of a WebSocket client (RFC 6455 section 4.1). */
  async upgrade(path = '/', extra = '') {
    const key = randomBytes(16).toString('base64');
    this.write(
      `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
        `Sec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\n${extra}\r\n`,
    );
    const answer = await this.response();
    if (answer.status !== 101) throw new Error(`the handshake was answered with ${answer.status}`);
    if (answer.headers['sec-websocket-accept']?.[0] !== acceptFor(key)) throw new Error('wrong Sec-WebSocket-Accept');
    return answer;
  }

  /** Takes one WebSocket frame. */
  async frame(seconds = 10) {
    const head = await this.take(2, seconds);
    let length = head[1] & 0x7f;
    if (length === 126) length = (await this.take(2, seconds)).readUInt16BE();
    else if (length === 127) length = Number((await this.take(8, seconds)).readBigUInt64BE());
    const mask = head[1] & 0x80 ? Buffer.from(await this.take(4, seconds)) : null;
    const payload = Buffer.from(await this.take(length, seconds));
    if (mask) for (let i = 0; i < payload.length; i += 1) payload[i] ^= mask[i & 3];
    return { fin: head[0] >= 0x80, rsv: (head[0] >> 4) & 7, opcode: head[0] & 15, masked: mask !== null, payload };
  }

  /** Takes frames until the close frame: its code, and the frames before it. */
  async closeFrame(seconds = 10) {
    const before = [];
    for (;;) {
      const frame = await this.frame(seconds);
      if (frame.opcode === 8) {
        const code = frame.payload.length >= 2 ? frame.payload.readUInt16BE() : 1005;
        return { code, reason: frame.payload.subarray(2).toString('utf8'), masked: frame.masked, before };
      }
      before.push(frame);
    }
  }
}

/** Sec-WebSocket-Accept for a key (RFC 6455 section 4.2.2). */
export function acceptFor(key) {
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
}

/**
 * One WebSocket frame, good or bad. `declared` is the length that the head tells, `lengthBytes` (0, 2 or 8) how it
 * is written.
 */
export function frame(opcode, payload = '', { fin = true, rsv = 0, mask = true, declared, lengthBytes } = {}) {
  const body = Buffer.from(payload);
  const length = BigInt(declared ?? body.length);
  const wide = lengthBytes ?? (length < 126n ? 0 : length < 65536n ? 2 : 8);
  const head = Buffer.alloc(2 + wide);
  head[0] = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  head[1] = (mask ? 0x80 : 0) | (wide === 0 ? Number(length) : wide === 2 ? 126 : 127);
  if (wide === 2) head.writeUInt16BE(Number(length), 2);
  if (wide === 8) head.writeBigUInt64BE(length, 2);
  if (!mask) return Buffer.concat([head, body]);
  const key = randomBytes(4);
  return Buffer.concat([head, key, body.map((byte, i) => byte ^ key[i & 3])]);
}

/** The payload of a close frame. */
export function closing(code, reason = '') {
  const payload = Buffer.alloc(2);
  payload.writeUInt16BE(code);
  return Buffer.concat([payload, Buffer.from(reason)]);
}
