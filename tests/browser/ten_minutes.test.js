// docs/ten-minutes.md as a newcomer follows it: the server and its page, the push by curl, and both ways to break them.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { freePort, launchChromium, until, within } from './harness.js';
import { Reader, blocks, prose } from './tutorial.js';

const page = blocks('ten-minutes.md');

/** What the page of the book quotes as shown by the reader's page or printed by curl, without what a test has seen. */
const quoted = new Set([...prose('ten-minutes.md').matchAll(/`((?:alice|backend|closed): [^`]+|\d+ tabs)`/g)].map(([, text]) => text));

/** The blocks that contain a text, in order. @param {string} kind @param {string} text */
const having = (kind, text) => page.filter((block) => block.kind === kind && block.text.includes(text));

/** @type {import('playwright-core').Browser} */
let browser;
/** @type {Reader} */
let reader;
let port = '';
/** @type {import('node:child_process').ChildProcess | undefined} */
let server;
let log = '';

before(async () => {
  browser = await launchChromium();
  port = String(await freePort());
  reader = new Reader('ten-minutes', (text) => text.replaceAll('8090', port));
});
after(async () => {
  server?.kill('SIGKILL');
  await browser?.close();
});

async function stop() {
  if (!server) return;
  const gone = new Promise((resolve) => server?.once('exit', resolve));
  server.kill('SIGINT');
  await within(gone, 'the server ends');
  server = undefined;
}
/** Builds the reader's program and runs it in place of the one before. @param {string} label */
async function restart(label) {
  const program = await reader.build(label);
  await stop();
  log = '';
  const child = spawn(program, { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, NO_COLOR: '1' } });
  server = child;
  child.stdout.on('data', (chunk) => (log += chunk));
  await until(() => log.includes(`http://127.0.0.1:${port}/?alice`), 'the server listens');
}

/** @param {string} user */
async function open(user) {
  const tab = await browser.newPage();
  await tab.goto(`http://127.0.0.1:${port}/?${user}`);
  return tab;
}
/** Waits for a whole line. @param {import('playwright-core').Page} tab @param {string} text */
async function shows(tab, text) {
  await tab.getByText(text, { exact: true }).first().waitFor({ timeout: 20_000 });
  quoted.delete(text);
}
/** @param {import('playwright-core').Page} tab */
const isOpen = (tab) => tab.locator('#status', { hasText: 'open' }).waitFor({ timeout: 20_000 });

/** A line of the page without the time, and without the port of the client. @param {string} kind */
const logged = (kind) =>
  reader.edit(having('text', `kind="${kind}"`)[0].text).trim().replace(/peer=\S+/, '').replace(/\s+/g, ' ');
/** @param {string} line */
async function hasLogged(line) {
  const plain = () => log.replace(/peer=\S+/g, '').replace(/[ \t]+/g, ' ');
  await until(() => plain().includes(line), `the log has: ${line}`).catch((error) => assert.fail(`${error}\n${plain()}`));
}

test('the server and its page', { timeout: 600_000 }, async (t) => {
  for (const block of having('sh', 'cargo new')) reader.follow(block);
  for (const block of [...having('rust', 'src/main.rs'), ...having('html', 'src/page.html')]) reader.follow(block);
  await restart('first');

  const [one, two, bob] = [await open('alice'), await open('alice'), await open('bob')];
  for (const tab of [one, two, bob]) await isOpen(tab);

  await t.test('alice writes to bob', async () => {
    await one.fill('input[name=text]', 'lunch?');
    await one.click('button');
    await shows(bob, 'alice: lunch?');
  });

  await t.test('a push by curl reaches both tabs', async () => {
    const [{ text }] = having('sh', '/notify/');
    for (const [user, expected] of [['alice', '2 tabs'], ['nobody', '0 tabs']]) {
      const command = reader.edit(text).replace('curl', 'curl --silent').replace('/alice', `/${user}`);
      const { stdout } = await promisify(execFile)('bash', ['-c', command]);
      assert.equal(stdout, `${expected}\n`);
      quoted.delete(expected);
    }
    for (const tab of [one, two]) await shows(tab, 'backend: your build is green');
  });

  await t.test('the pages come back when the server is started again', async () => {
    await stop();
    for (const tab of [one, two, bob]) {
      await shows(tab, 'closed: 4005 30');
      await shows(tab, 'closed: 1006');
    }
    await restart('again');
    for (const tab of [one, two, bob]) await isOpen(tab);
  });

  const [foreign, allowed] = [having('diff', 'ws://localhost')[0], having('diff', '.origins(')[0]];
  await t.test('a foreign origin is refused, and the log says why and how to allow it', async () => {
    reader.follow(foreign);
    await restart('foreign');
    await one.reload();
    await shows(one, 'closed: 4503 forbidden');
    await hasLogged(logged('forbidden'));

    reader.follow(allowed);
    await restart('allowed');
    await one.reload();
    await isOpen(one);
    for (const block of [allowed, foreign]) reader.undo(reader.edit(block.text));
  });

  await t.test('tokens take the place of names', async () => {
    for (const block of having('sh', 'cargo add jsonwebtoken')) reader.follow(block);
    const changes = page.slice(page.indexOf(having('sh', 'cargo add jsonwebtoken')[0])).filter(({ kind }) => kind === 'diff');
    for (const block of changes.slice(0, -1)) reader.follow(block);
    await restart('tokens');
    for (const tab of [one, bob]) {
      await tab.reload();
      await isOpen(tab);
    }
    await one.fill('input[name=text]', 'signed');
    await one.click('button');
    await shows(bob, 'alice: signed');

    reader.follow(/** @type {import('./tutorial.js').Block} */ (changes.at(-1)));
    await restart('wrong-token');
    await one.reload();
    await shows(one, 'closed: 4501 invalid');
    await hasLogged(logged('invalid'));
  });

  await t.test('each line that the book quotes was shown', () => assert.deepEqual([...quoted], []));
});
