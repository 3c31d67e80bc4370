// A redis-server of a test, on a socket in a directory of its own. It keeps nothing on the disk.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until, within } from './harness.js';

export class Redis {
  #directory = mkdtempSync(join(tmpdir(), 'keywire-'));
  #socket = join(this.#directory, 'redis.sock');
  /** @type {import('node:child_process').ChildProcess | undefined} */
  #child;

  get url() {
    return `unix://${this.#socket}`;
  }

  /** Starts, with the same address each time. */
  async start() {
    const settings = { port: '0', unixsocket: this.#socket, dir: this.#directory, save: '', appendonly: 'no', loglevel: 'warning' };
    const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
    const child = (this.#child = spawn('redis-server', args, { stdio: ['ignore', 'ignore', 'inherit'] }));
    /** @type {Error | undefined} */
    let failed;
    child.once('error', (error) => (failed = error));
    await until(() => {
      if (failed || child.exitCode !== null) throw failed ?? new Error(`redis-server ended with ${child.exitCode}`);
      return existsSync(this.#socket);
    }, 'redis-server listens');
  }

  /** Ends it, and what it has in memory. */
  async kill() {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await within(exited, 'redis-server ends');
    rmSync(this.#socket, { force: true });
  }

  async stop() {
    await this.kill();
    rmSync(this.#directory, { recursive: true });
  }
}
