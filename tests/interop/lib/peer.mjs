// An npm `ws` WebSocket, either side, whose events are taken one by one instead of by callback.

import WebSocket from 'ws';
import { within } from './harness.mjs';

export class Peer {
  constructor(socket) {
    this.socket = socket;
    this.queue = [];
    this.wake = () => {};
    const put = (event) => {
      this.queue.push(event);
      this.wake();
    };
    socket.on('message', (data, isBinary) =>
      put(isBinary ? { kind: 'binary', data } : { kind: 'text', data: data.toString('utf8') }));
    socket.on('ping', (data) => put({ kind: 'ping', data: data.toString('utf8') }));
    socket.on('pong', (data) => put({ kind: 'pong', data: data.toString('utf8') }));
    socket.on('close', (code, reason) => put({ kind: 'close', code, reason: reason.toString('utf8') }));
    socket.on('error', (error) => put({ kind: 'error', error }));
  }

  /** A client whose handshake is done. */
  static async connect(url, protocols = [], options = {}) {
    const socket = new WebSocket(url, protocols, { perMessageDeflate: false, ...options });
    const peer = new Peer(socket);
    await within(10, `the opening handshake with ${url}`, new Promise((resolve, reject) => {
      socket.once('open', resolve);
      socket.once('error', reject);
    }));
    return peer;
  }

  /** The next thing that happened. */
  async next(seconds = 15) {
    await within(seconds, 'a WebSocket event', (async () => {
      while (this.queue.length === 0) {
        await new Promise((resolve) => {
          this.wake = resolve;
        });
      }
    })());
    const event = this.queue.shift();
    if (event.kind === 'error') throw event.error;
    return event;
  }

  send(data, options = {}) {
    this.socket.send(data, options);
  }

  /** Closes and waits for the peer's answer. */
  async close(code, reason, seconds = 10) {
    this.socket.close(code, reason);
    for (;;) {
      const event = await this.next(seconds);
      if (event.kind === 'close') return event;
    }
  }

  destroy() {
    this.socket.terminate();
  }
}
