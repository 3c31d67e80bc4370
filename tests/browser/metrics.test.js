// The demo's numbers for Prometheus, and that nobody gets them unasked.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Demo, connectRaw } from './harness.js';

/** @param {string[]} args @param {(demo: Demo) => Promise<void>} use */
async function withDemo(args, use) {
  const demo = await Demo.start({ args });
  try {
    await use(demo);
  } finally {
    await demo.stop();
  }
}

test('with --metrics the demo shows its numbers', () =>
  withDemo(['--metrics'], async (demo) => {
    // It has asked for a sign of life, and got one.
    const raw = await connectRaw(demo.socket('alice'));
    const answer = await fetch(demo.http('/metrics'));
    assert.equal(answer.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8');
    const text = await answer.text();
    assert.match(text, /^# TYPE keywire_sessions gauge$/m);
    assert.match(text, /^keywire_sessions 1$/m);
    assert.match(text, /^keywire_messages_total\{direction="in"\} 1$/m);
    // Histograms that can be added up over servers.
    assert.match(text, /^keywire_handler_seconds_bucket\{le="\+Inf"\} 1$/m);
    await raw.close();
    assert.match(await (await fetch(demo.http('/metrics'))).text(), /^keywire_sessions 0$/m);
  }));

test('without it there is nothing to see', () =>
  withDemo([], async (demo) => {
    assert.equal((await fetch(demo.http('/metrics'))).status, 404);
  }));
