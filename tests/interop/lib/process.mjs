// A program of ours as a child process: lines of its output, its end, and never a child left behind.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { within } from './harness.mjs';

const running = new Set();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** An environment variable that the scripts cannot do without. */
export function needed(name, what) {
  const value = process.env[name];
  if (!value) {
    console.error(`${name} must be set: ${what}`);
    process.exit(2);
  }
  return value;
}

export class Program {
  /** Starts `file` with `args`; `file` ending in .mjs is run by this node. */
  constructor(file, args = []) {
    const [command, all] = file.endsWith('.mjs') ? [process.execPath, [file, ...args]] : [file, args];
    this.name = file.split('/').at(-1);
    this.child = spawn(command, all, { stdio: ['pipe', 'pipe', 'pipe'] });
    this.errors = '';
    this.lines = [];
    this.waiting = [];
    running.add(this.child);
    this.child.stdin.on('error', () => {}); // it may end before it has read everything
    this.child.stderr.setEncoding('utf8').on('data', (text) => {
      this.errors = (this.errors + text).slice(-20_000);
    });
    this.out = createInterface({ input: this.child.stdout, crlfDelay: Infinity });
    this.out.on('line', (line) => {
      const next = this.waiting.shift();
      if (next) next.resolve(line);
      else this.lines.push(line);
    });
    this.out.on('close', () => {
      for (const { reject } of this.waiting.splice(0)) reject(this.gone());
    });
    this.ended = new Promise((resolve) => {
      this.child.on('error', (error) => {
        this.errors += String(error);
        running.delete(this.child);
        resolve({ code: null, signal: null });
      });
      this.child.on('close', (code, signal) => {
        running.delete(this.child);
        resolve({ code, signal });
      });
    });
  }

  gone() {
    return new Error(`${this.name} printed no further line; its standard error:\n${this.errors}`);
  }

  /** The next line of its standard output. */
  async line(seconds = 10) {
    if (this.lines.length > 0) return this.lines.shift();
    if (this.out.closed) throw this.gone();
    return within(seconds, `a line from ${this.name} (its standard error: ${this.errors})`, new Promise((resolve, reject) => {
      this.waiting.push({ resolve, reject });
    }));
  }

  write(text) {
    this.child.stdin.write(text);
  }

  /** Its end: exit code or signal. */
  async end(seconds = 10) {
    return within(seconds, `the end of ${this.name} (its standard error: ${this.errors})`, this.ended);
  }

  /** Ends it as its contract says, by the end of its standard input. */
  async stop(seconds = 10) {
    this.child.stdin.end();
    try {
      return await this.end(seconds);
    } catch (error) {
      this.child.kill('SIGKILL');
      throw error;
    }
  }

  /** Ends it as a power cut does. */
  async kill() {
    this.child.kill('SIGKILL');
    return this.end();
  }
}
