// Every close code there is, by the table that all clients have.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ROWS, returns } from './close_codes.js';
import { create, last } from './fake.js';

test('the table has each code once', () => {
  let next = 0;
  for (const { from, to } of ROWS) {
    assert.equal(from, next);
    assert.ok(to >= from);
    next = to + 1;
  }
  assert.equal(next, 5000);
});

test('the client does what the table says, for every code', async () => {
  for (let code = 0; code < 5010; code += 1) {
    const { wire, seen } = create();
    wire.connect();
    for (let i = 0; i < 3; i += 1) await null;
    last().accept();
    last().end(code, 'why');
    const expected = returns(code) ?? true;
    assert.equal(wire.status, expected ? 'waiting' : 'closed', String(code));
    assert.deepEqual(seen('close'), [{ code, reason: 'why', final: !expected }]);
    wire.close();
  }
});
