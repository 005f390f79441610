// Two browsers with one face: start, navigate, evaluate, stop. A new profile each time; certificates are not looked at.

import { once } from 'node:events';
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { WebSocket } from 'ws';
import { until, within } from './harness.mjs';

/** Chromium (CHROMIUM, else /usr/bin/chromium). */
export class Chromium {
  static async start() {
    const browser = new Chromium();
    browser.profile = await mkdtemp(join(tmpdir(), 'stillwire-'));
    browser.context = await chromium.launchPersistentContext(browser.profile, {
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      headless: true,
      ignoreHTTPSErrors: true,
      args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
        '--disable-component-update', '--disable-sync', '--ignore-certificate-errors'],
    });
    browser.page = browser.context.pages()[0] ?? await browser.context.newPage();
    return browser;
  }

  /** What an expression is in the page; a promise is waited for. */
  evaluate(expression) {
    return this.page.evaluate(expression);
  }

  async navigate(url) {
    await this.page.goto(url);
  }

  async stop() {
    await this.context.close();
    await rm(this.profile, { recursive: true, force: true });
  }
}

/** Firefox, spoken to in WebDriver BiDi. */
export class Firefox {
  static async start(file) {
    const profile = await mkdtemp(join(tmpdir(), 'stillwire-'));
    const off = ['app.update.auto', 'app.update.enabled', 'datareporting.healthreport.uploadEnabled', 'browser.shell.checkDefaultBrowser',
      'network.captive-portal-service.enabled', 'network.connectivity-service.enabled', 'services.settings.enabled',
      'toolkit.telemetry.enabled', 'extensions.update.enabled', 'browser.safebrowsing.update.enabled'];
    const on = ['network.http.http2.websockets', 'datareporting.policy.dataSubmissionPolicyBypassNotification'];
    const lines = [...off.map((name) => [name, false]), ...on.map((name) => [name, true])]
      .map(([name, value]) => `user_pref("${name}", ${value});`);
    await writeFile(join(profile, 'user.js'), `${lines.join('\n')}\n`);
    const browser = new Firefox();
    browser.profile = profile;
    browser.child = spawn(file, ['--headless', '--no-remote', '--profile', profile, '--remote-debugging-port', '0'],
      { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, HOME: profile } });
    process.on('exit', () => browser.child.kill('SIGKILL'));
    let said = '';
    browser.child.stderr.setEncoding('utf8').on('data', (text) => { said += text; });
    const [, address] = await until('Firefox listens', () => said.match(/WebDriver BiDi listening on (ws:\S+)/), 60);
    browser.socket = new WebSocket(`${address}/session`, { maxPayload: 1 << 26 });
    await once(browser.socket, 'open');
    browser.answers = new Map();
    browser.socket.on('message', (text) => {
      const answer = JSON.parse(text);
      browser.answers.get(answer.id)?.(answer);
    });
    await browser.ask('session.new', { capabilities: { alwaysMatch: { acceptInsecureCerts: true } } });
    const { contexts: [{ context }] } = await browser.ask('browsingContext.getTree', {});
    browser.context = context;
    return browser;
  }

  async ask(method, params) {
    const id = this.answers.size + 1;
    const answer = new Promise((resolve) => this.answers.set(id, resolve));
    this.socket.send(JSON.stringify({ id, method, params }));
    const { type, result, error, message } = await within(120, method, answer);
    if (type === 'error') throw new Error(`${method}: ${error}: ${message}`);
    return result;
  }

  async evaluate(expression) {
    const { result, exceptionDetails } = await this.ask('script.evaluate',
      { expression, target: { context: this.context }, awaitPromise: true });
    if (exceptionDetails) throw new Error(exceptionDetails.text);
    return result.value;
  }

  async navigate(url) {
    await this.ask('browsingContext.navigate', { context: this.context, url, wait: 'complete' });
  }

  async stop() {
    this.socket?.terminate();
    if (this.child.exitCode === null) {
      this.child.kill('SIGKILL');
      await once(this.child, 'exit');
    }
    await rm(this.profile, { recursive: true, force: true, maxRetries: 5 });
  }
}
