// A few lines instead of a framework: a check has a name, a body and a time limit, and a run ends with
// `N passed, N failed`. Nothing is skipped: what cannot run fails.

import assert from 'node:assert/strict';

export { assert };

let passed = 0;
const failed = [];
let finished = false;
const cleanups = [];

/** `promise`, or an error that says `what` did not happen within `seconds`. */
export async function within(seconds, what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${seconds} s: ${what}`)), seconds * 1000);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until `holds` answers something true. */
export async function until(what, holds, seconds = 20) {
  for (const end = Date.now() + seconds * 1000; Date.now() < end; await pause(20)) {
    const answer = await holds();
    if (answer) return answer;
  }
  throw new Error(`never: ${what}`);
}

/** Runs `body`; a throw, a rejection and `seconds` without an end are failures. */
export async function check(name, body, { seconds = 30 } = {}) {
  try {
    await within(seconds, name, Promise.resolve().then(body));
    passed += 1;
    console.log(`ok      ${name}`);
  } catch (error) {
    failed.push(name);
    console.log(`FAILED  ${name}\n        ${String(error?.stack ?? error).replaceAll('\n', '\n        ')}`);
  }
}

/** What must be undone at the end, whatever happened: servers to stop, sockets to close. */
export function atEnd(undo) {
  cleanups.push(undo);
}

/** The last call of every script: undoes, prints the count, ends the process. */
export async function finish() {
  for (const undo of cleanups.reverse()) {
    await check('clean end', undo, { seconds: 15 });
  }
  finished = true;
  for (const name of failed) console.log(`FAILED  ${name}`);
  console.log(`${passed} passed, ${failed.length} failed`);
  process.exit(failed.length === 0 && passed > 0 ? 0 : 1);
}

/** Ends a process that has no checks to count. */
export function leave(code) {
  finished = true;
  process.exit(code);
}

process.on('uncaughtException', (error) => {
  failed.push('an exception that nobody caught');
  console.log(`FAILED  an exception that nobody caught\n${error?.stack ?? error}`);
});

process.on('exit', (code) => {
  if (finished) return;
  console.log(`FAILED  the script ended before its last line (exit code ${code})`);
  console.log(`${passed} passed, ${failed.length + 1} failed`);
  process.exitCode = 1;
});
