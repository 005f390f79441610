// The demo page of stillwire: one chat room, joined three times. No build step, no dependency.
//
// First the three transports: each is all the code a browser needs, and the page shows it under its pane.
// `room` is a Pane (below): `live(send)`, `message(text)`, `retrying()`, `gone(resume)`.

async function polling(room, session) {
  const ask = async (path, init) => {
    const signal = AbortSignal.timeout(60_000);
    const request = { cache: 'no-store', signal, ...init };
    const answer = await fetch('/poll/' + path, request);
    // No such session, or out of step: open anew.
    if ([404, 409].includes(answer.status)) session = undefined;
    if (!answer.ok) throw new Error(answer.status);
    if (answer.status === 200) return answer.json();
  };
  const send = async (text) => {
    session.queue.push(text);
    if (session.posting) return; // one POST at a time
    session.posting = true;
    try {
      while (session.queue.length) {
        const { sid, seq, queue } = session;
        const messages = queue.slice(0, 16); // max_messages: 64
        const body = JSON.stringify({ seq, messages });
        const { ack } = await ask(sid, { method: 'POST', body });
        queue.splice(0, ack - seq + 1);
        session.seq = ack + 1;
      }
    } finally {
      if (session) session.posting = false;
    }
  };
  let held;
  try {
    if (session) {
      // The server is back when it holds the GET.
      held = setTimeout(() => room.live(send), 1_000);
    } else {
      const { sid } = await ask('open', { method: 'POST' });
      session = { sid, after: 0, seq: 1, queue: [] };
      room.live(send);
    }
    for (;;) {
      const { sid, after } = session;
      const batch = await ask(`${sid}?after=${after}`);
      if (!batch) continue; // 204: nothing was said
      session.after = batch.last;
      batch.messages.forEach((text) => room.message(text));
      if (batch.closed) throw (session = undefined);
    }
  } catch {
    clearTimeout(held);
    // Called again with the session: nothing lost, nothing twice.
    room.gone(session);
  }
}

function events(room) {
  const source = new EventSource('/events');
  const send = (body) => fetch('/say', { method: 'POST', body });
  source.onopen = () => room.live(send);
  source.onmessage = ({ data }) => room.message(data);
  source.onerror = () => { // the browser reconnects, mostly
    if (source.readyState === source.CLOSED) room.gone();
    else room.retrying();
  };
}

function websocket(room) {
  const url = location.origin.replace('http', 'ws') + '/ws';
  const socket = new WebSocket(url);
  const send = (text) => socket.send(text);
  socket.onopen = () => room.live(send);
  socket.onmessage = ({ data }) => room.message(data);
  socket.onclose = () => room.gone();
}

// ---------------------------------------------------------------------------------------------- the page

const TRANSPORTS = [
  { key: 'polling', name: 'Polling', run: polling },
  { key: 'events', name: 'Server-Sent Events', run: events },
  { key: 'websocket', name: 'WebSocket', run: websocket },
];
const SHOWN = 50;             // messages in a list
const REMEMBERED = 500;       // ids in memory, to drop what comes twice
const MAX_MESSAGE = 16_384;   // longer ones are ignored
const MAX_FLIGHT = 200;       // test messages of one pane that wait for their echo
const WINDOW = 30_000;        // ms that the figures and charts look back
const RESEND = 3_000;         // ms after which a written message without an echo is sent again

const TAB = Math.random().toString(36).slice(2, 7);
const calm = matchMedia('(prefers-reduced-motion: reduce)');
const rate = document.getElementById('rate');
const whole = new Intl.NumberFormat('en');
let serial = 0;

// Counters for tests: ids of written messages per transport, number of test messages.
window.stillwire = { received: {}, tests: {} };

/// One pane: a transport, its list, its wire, its row of figures.
class Pane {
  constructor({ key, name, run }) {
    Object.assign(this, { key, run, attempts: 0, energy: 0, seen: new Set(), tests: 0 });
    this.pitch = 29 + 7 * panes.length; // no two wires swing alike
    this.flight = new Map();   // test and written messages on their way: id -> time
    this.pending = new Map();  // written messages without an echo: id -> { text, at }
    this.samples = [];         // round trips: { at, ms }
    this.stats = [];           // counters of the server: { at, bytes, messages, requests }
    stillwire.received[key] = [];
    stillwire.tests[key] = 0;

    this.el = document.getElementById('pane').content.cloneNode(true).firstElementChild;
    this.el.dataset.transport = key;
    this.part = (selector) => this.el.querySelector(selector);
    this.part('h2').textContent = name;
    this.part('summary').textContent = 'The code of this pane';
    for (const line of run.toString().split('\n')) { // a block each, so that what wraps stays indented
      const block = document.createElement('span');
      block.textContent = `${line}\n`;
      block.style.setProperty('--indent', `${line.search(/\S/) + 4}ch`);
      this.part('pre code').append(block);
    }
    this.part('pre').ariaLabel = `JavaScript of the ${name} pane`;
    this.list = this.part('ol');
    this.list.ariaLabel = `Messages over ${name}`;
    this.input = this.part('input');
    this.input.ariaLabel = `Message over ${name}`;
    this.wire = this.part('.wire');
    this.part('form').onsubmit = (event) => {
      event.preventDefault();
      if (this.write(this.input.value.trim())) this.input.value = '';
    };

    this.row = document.getElementById('row').content.cloneNode(true).firstElementChild;
    this.row.dataset.transport = key;
    this.row.querySelector('th').textContent = name;
    this.row.querySelectorAll('[data-metric]').forEach((cell) => { cell.dataset.transport = key; });
    this.chart = this.row.querySelector('canvas');
    this.chart.ariaLabel = `Round trips over ${name} in the last 30 seconds; p50 and p99 are in the next cells`;
    document.getElementById('panes').append(this.el);
    document.getElementById('rows').append(this.row);
    this.status('connecting');
    this.run(this);
  }

  // What a transport tells.
  live(send) {
    this.send = send;
    this.attempts = 0;
    this.status('live');
    this.resend(0);
  }

  message(data) {
    const message = read(data);
    if (!message || this.seen.has(message.id)) return;
    const sent = this.flight.get(message.id);
    const mine = this.flight.delete(message.id) || this.pending.has(message.id);
    const trip = sent === undefined ? undefined : performance.now() - sent;
    if (trip !== undefined) this.samples.push({ at: performance.now(), ms: trip });
    if (message.text === undefined) {
      this.tests = ++stillwire.tests[this.key];
    } else {
      this.pending.delete(message.id);
      remember(this.seen, message.id);
      this.show(message, mine, trip);
    }
    this.pluck(message.text !== undefined ? 0.9 : sent === undefined ? 0.04 : 0.12); // its own are felt more
  }

  retrying() {
    this.send = undefined;
    this.flight.clear();
    this.status('gone', Infinity);
  }

  /// Calls the transport again after 0.5 to 5 s, at first soon, then later; `resume` is handed to it.
  gone(resume) {
    this.retrying();
    const longest = Math.min(5_000, 1_000 * 2 ** this.attempts++);
    const wait = 500 + Math.random() * (longest - 500);
    this.status('gone', performance.now() + wait);
    setTimeout(() => {
      this.status('gone', 0);
      this.run(this, resume);
    }, wait);
  }

  // What a person or the slider says.
  write(text) {
    if (!text || this.pending.size >= SHOWN) return false;
    const id = this.newId();
    const json = JSON.stringify({ from: this.key, text, id, sent: performance.now() });
    this.pending.set(id, { json, at: performance.now() });
    this.dispatch(id, json);
    this.hint();
    return true;
  }

  test() {
    if (!this.send || this.flight.size >= MAX_FLIGHT) return;
    const id = this.newId();
    this.dispatch(id, JSON.stringify({ from: this.key, id, sent: Math.round(performance.now()) }));
  }

  dispatch(id, json) {
    if (!this.send) return; // waits in `pending`
    this.flight.set(id, performance.now());
    Promise.resolve(this.send(json)).catch(() => {}); // what is lost is sent again
  }

  /// Sends written messages that had no echo for `age` ms; whoever got them twice drops the second.
  resend(age) {
    for (const [id, waiting] of this.pending) {
      if (!this.send || performance.now() - waiting.at < age) continue;
      waiting.at = performance.now();
      this.flight.delete(id); // measures nothing
      Promise.resolve(this.send(waiting.json)).catch(() => {});
    }
  }

  newId() { return `${TAB}-${this.key[0]}${(++serial).toString(36)}`; }

  // What the pane shows.
  status(status, until) {
    const words = { connecting: 'connecting', live: 'live', gone: 'server gone' };
    this.until = until;
    if (this.el.dataset.status !== status || !this.part('.status').textContent) {
      this.el.dataset.status = status;
      this.part('.status').textContent = words[status];
      if (status === 'live') this.pluck(0.7);
      drawWire(this, performance.now());
    }
    this.hint();
  }

  hint() {
    const waiting = this.pending.size ? `, ${this.pending.size} to be sent` : '';
    const left = Math.ceil((this.until - performance.now()) / 1_000);
    const words = {
      connecting: 'joining the room',
      live: `${whole.format(this.tests)} test messages received`,
      gone: left === Infinity ? 'the browser is reconnecting' : left > 0 ? `reconnecting in ${left} s` : 'reconnecting now',
    }[this.el.dataset.status];
    const hint = this.part('.hint');
    if (hint.textContent !== words + waiting) hint.textContent = words + waiting;
  }

  show({ from, text, id }, mine, trip) {
    const item = document.createElement('li');
    const via = document.createElement('span');
    const said = document.createElement('span');
    via.className = 'via';
    via.dataset.via = from;
    via.textContent = from;
    said.className = 'said';
    said.textContent = text;
    item.append(via, said);
    if (mine && trip !== undefined) {
      const took = document.createElement('span');
      took.className = 'took';
      took.textContent = `${figure(trip)} ms`;
      item.append(took);
    }
    item.dataset.id = id;
    const atEnd = this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight < 40;
    this.list.append(item);
    while (this.list.children.length > SHOWN) this.list.firstElementChild.remove();
    if (atEnd || mine) this.list.scrollTop = this.list.scrollHeight;
    const received = stillwire.received[this.key];
    received.push(id);
    if (received.length > REMEMBERED) received.shift();
  }

  pluck(strength) {
    if (calm.matches) return;
    this.energy = Math.min(1, this.energy + strength);
    vibrate();
  }
}

/// A message from the room, or undefined if this page did not make it.
function read(data) {
  if (typeof data !== 'string' || data.length > MAX_MESSAGE) return undefined;
  try {
    const { from, text, id } = JSON.parse(data);
    if (typeof id !== 'string' || id.length > 40 || !TRANSPORTS.some(({ key }) => key === from)) return undefined;
    return { from, id, text: typeof text === 'string' ? text.slice(0, 500) : undefined };
  } catch {
    return undefined;
  }
}

function remember(set, id) {
  set.add(id);
  if (set.size > REMEMBERED) set.delete(set.values().next().value);
}

function figure(n) {
  return n >= 100 ? whole.format(Math.round(n)) : n.toFixed(n >= 1 || n === 0 ? 1 : 2);
}

// ---------------------------------------------------------------------------------------------- the wire

/// A canvas in device pixels, cleared, with the pane's colours.
function surface(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const scale = devicePixelRatio || 1;
  const [w, h] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
  const pen = canvas.getContext('2d');
  const style = getComputedStyle(canvas);
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  return { pen, width, height, color: (name) => style.getPropertyValue(name).trim() };
}

/// A string with fixed ends: still, plucked by a message, dashed while it connects, cut when the server is gone.
function drawWire(pane, now) {
  const { pen, width, height, color } = surface(pane.wire);
  const status = pane.el.dataset.status;
  const middle = height / 2;
  const beat = now / 1_000 * pane.pitch;
  const at = (u) => middle + pane.energy * (middle - 4) / 1.9 * [1, 0.5, 0.35, 0.2].reduce((sum, part, i) =>
    sum + part * Math.sin((i + 1) * Math.PI * u) * Math.cos((i + 1) * beat + i * pane.pitch), 0);
  const stroke = (from, to, sag) => {
    pen.beginPath();
    for (let x = from; x < to; x += 2) pen.lineTo(x, at(x / width) + sag(x));
    pen.lineTo(to, at(to / width) + sag(to));
    pen.stroke();
  };
  pen.strokeStyle = color(status === 'gone' ? '--gone' : '--hue');
  pen.lineWidth = 1.5;
  pen.setLineDash(status === 'connecting' ? [2, 5] : []);
  if (status === 'gone') { // cut: two loose ends
    const [left, right] = [width * 0.46, width * 0.54];
    stroke(0, left, (x) => Math.max(0, x - left + 60) ** 2 / 300);
    stroke(right, width, (x) => Math.max(0, right + 60 - x) ** 2 / 300);
    return;
  }
  stroke(0, width, () => 0);
}

let swinging = false;
function vibrate() {
  if (swinging) return;
  swinging = true;
  let before = performance.now();
  requestAnimationFrame(function frame(now) {
    const passed = Math.max(0, now - before);
    before = now;
    swinging = false;
    for (const pane of panes) {
      if (!pane.energy) continue;
      pane.energy *= Math.exp(-passed / 260);
      if (pane.energy < 0.01 || calm.matches) pane.energy = 0;
      else swinging = true;
      drawWire(pane, now);
    }
    if (swinging) requestAnimationFrame(frame);
  });
}

// ------------------------------------------------------------------------------------------- the figures

/// Draws the round trips of each pane on one logarithmic scale and fills in the figures.
function measure() {
  const now = performance.now();
  for (const pane of panes) {
    while (pane.samples.length && pane.samples[0].at < now - WINDOW) pane.samples.shift();
    for (const [id, at] of pane.flight) if (at < now - WINDOW) pane.flight.delete(id); // lost
  }
  const trips = panes.flatMap(({ samples }) => samples.map(({ ms }) => Math.max(ms, 0.05)));
  const least = trips.reduce((a, b) => Math.min(a, b), 1);
  const most = trips.reduce((a, b) => Math.max(a, b), 10);
  const low = Math.floor(Math.log10(least));
  const high = Math.ceil(Math.log10(most));
  for (const pane of panes) {
    drawTrips(pane, now, low, high);
    const sorted = pane.samples.map(({ ms }) => ms).sort((a, b) => a - b);
    const quantile = (q) => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
    pane.figures = { ...pane.figures, p50: quantile(0.5), p99: quantile(0.99) };
    pane.hint();
    pane.resend(RESEND);
  }
  for (const metric of ['p50', 'p99', 'bytes', 'requests']) {
    const largest = Math.max(...panes.map(({ figures }) => figures[metric] ?? 0));
    for (const { row, figures } of panes) {
      const cell = row.querySelector(`[data-metric=${metric}]`);
      const value = figures[metric];
      cell.textContent = value === undefined ? '–' : metric === 'requests' ? value.toFixed(2) : figure(value);
      cell.style.setProperty('--share', value && largest ? value / largest : 0);
    }
  }
}

function drawTrips({ chart, samples }, now, low, high) {
  const { pen, width, height, color } = surface(chart);
  const y = (ms) => height - 8 - (Math.log10(Math.max(ms, 0.05)) - low) / (high - low) * (height - 16);
  const left = 52; // room for the labels
  const x = (at) => width - (now - at) / WINDOW * (width - left);
  pen.font = `11px ${getComputedStyle(chart).fontFamily}`;
  pen.textBaseline = 'middle';
  pen.textAlign = 'right';
  const every = high - low > 2 ? 2 : 1; // labels, when it gets tight
  for (let power = low; power <= high; power += 1) {
    const line = y(10 ** power);
    pen.fillStyle = color('--rule');
    pen.fillRect(left, Math.round(line), width - left, 1);
    pen.fillStyle = color('--soft');
    if ((power - low) % every) continue;
    pen.fillText(`${10 ** power >= 1 ? 10 ** power : (10 ** power).toFixed(-power)} ms`, left - 6, Math.round(line) + 0.5);
  }
  // Half seconds: a line through the medians, a light stroke from the fastest to the slowest.
  const steps = new Map();
  for (const { at, ms } of samples) {
    const step = Math.floor(at / 500);
    if (!steps.has(step)) steps.set(step, []);
    steps.get(step).push(ms);
  }
  pen.strokeStyle = pen.fillStyle = color('--hue');
  pen.lineJoin = 'round';
  const points = [...steps].map(([step, all]) => {
    all.sort((a, b) => a - b);
    const at = Math.max(left, x(step * 500 + 500));
    pen.globalAlpha = 0.3;
    pen.lineWidth = 3;
    pen.beginPath();
    pen.moveTo(at, y(all[0]));
    pen.lineTo(at, y(all.at(-1)));
    pen.stroke();
    return { step, at, y: y(all[all.length >> 1]) };
  });
  pen.globalAlpha = 1;
  pen.lineWidth = 1.5;
  pen.beginPath();
  points.forEach((point, i) => {
    const joined = i > 0 && point.step - points[i - 1].step <= 8;
    pen[joined ? 'lineTo' : 'moveTo'](Math.min(width, point.at), point.y);
  });
  pen.stroke();
  const last = points.at(-1);
  if (last) {
    pen.beginPath();
    pen.arc(Math.min(width - 3, last.at), last.y, 2.5, 0, 7);
    pen.fill();
  }
}

/// The server's counters, each second: bytes and requests per message are the growth in the last 30 s.
async function count() {
  if (document.hidden || !panes.some(({ send }) => send)) return;
  try {
    const answer = await fetch('/stats', { cache: 'no-store', signal: AbortSignal.timeout(5_000) });
    const counters = await answer.json();
    const at = performance.now();
    for (const pane of panes) {
      const { bytes, messages, requests } = counters[pane.key];
      const all = pane.stats;
      if (all.length && messages < all.at(-1).messages) all.length = 0; // the server began anew
      all.push({ at, bytes, messages, requests });
      while (all[0].at < at - WINDOW) all.shift();
      const passed = messages - all[0].messages;
      pane.figures = {
        ...pane.figures,
        bytes: passed ? (bytes - all[0].bytes) / passed : undefined,
        requests: passed ? (requests - all[0].requests) / passed : undefined,
      };
    }
  } catch {
    // The panes say that the server is gone.
  }
}

// ------------------------------------------------------------------------------------------------- begin

const panes = [];
for (const transport of TRANSPORTS) panes.push(new Pane(transport));

// The slider's messages: each pane in turn, never a burst after a pause.
let owed = 0;
let turn = 0;
let before = performance.now();
setInterval(() => {
  const now = performance.now();
  owed = Math.min(owed + rate.valueAsNumber * (now - before) / 1_000, 5);
  before = now;
  if (document.hidden || rate.valueAsNumber === 0) owed = 0;
  for (; owed >= 1; owed -= 1) panes[turn++ % panes.length].test();
}, 10);
rate.oninput = () => { document.getElementById('rate-shown').value = rate.value; };
rate.oninput();

setInterval(measure, calm.matches ? 1_000 : 250);
setInterval(count, 1_000);
const redraw = () => { panes.forEach((pane) => drawWire(pane, performance.now())); measure(); };
addEventListener('resize', redraw);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);
redraw();
