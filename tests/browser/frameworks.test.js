// The Vue composable and the React hook of docs/client.md: as short as promised, well typed, rendered on a server, and at work in
// Chromium.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { build } from 'esbuild';
import { Demo, launchChromium, until } from './harness.js';

const here = import.meta.dirname;
const client = join(here, '../../client/keywire.js');

/** Vue wants a word on each. */
const VUE_FLAGS = ['OPTIONS_API', 'PROD_DEVTOOLS', 'PROD_HYDRATION_MISMATCH_DETAILS'].map((name) => `__VUE_${name}__`);

/**
 * What an application makes of them: the status, what was heard, and a button that takes it all down. `html` renders it on a
 * server, `start` brings it to life in a page, in what the server rendered if there is that.
 * @type {Record<string, { app: string, html: string, start: string }>}
 */
const APPS = {
  Vue: {
    app: `
      import { h, ref } from 'vue';
      import { useKeywire, usePush } from './use-keywire.js';
      export const App = {
        setup() {
          const { wire, status, notice } = useKeywire('/websocket', { key: 'vera' });
          const heard = ref('');
          usePush(wire, 'inform', ({ msg }) => (heard.value += msg));
          const show = (id, text) => h('p', { id }, text);
          return () => [show('status', status.value), show('heard', heard.value), show('notice', notice.value?.msg)];
        },
      };`,
    html: `
      import { createSSRApp } from 'vue';
      import { renderToString } from 'vue/server-renderer';
      import { App } from './app.js';
      renderToString(createSSRApp(App)).then((html) => process.stdout.write(html));`,
    start: `
      import { createApp, createSSRApp } from 'vue';
      import { App } from './app.js';
      const place = document.getElementById('app');
      const app = (place.firstChild ? createSSRApp : createApp)(App);
      app.mount(place);
      window.unmount = () => app.unmount();`,
  },
  React: {
    app: `
      import { StrictMode, createElement as h, useState } from 'react';
      import { useKeywire, usePush } from './use-keywire.js';
      function Inside() {
        const { wire, status } = useKeywire('/websocket', { key: 'vera' });
        const [heard, setHeard] = useState('');
        const [notice, setNotice] = useState('');
        usePush(wire, 'inform', ({ msg }) => setHeard((all) => all + msg));
        usePush(wire, '*', ({ msg }) => setNotice(msg));
        const show = (id, text) => h('p', { id, key: id }, text);
        return [show('status', status), show('heard', heard), show('notice', notice)];
      }
      export const App = () => h(StrictMode, null, h(Inside));`,
    html: `
      import { createElement as h } from 'react';
      import { renderToString } from 'react-dom/server';
      import { App } from './app.js';
      process.stdout.write(renderToString(h(App)));`,
    start: `
      import { createElement as h } from 'react';
      import { createRoot, hydrateRoot } from 'react-dom/client';
      import { App } from './app.js';
      const place = document.getElementById('app');
      const root = place.firstChild ? hydrateRoot(place, h(App)) : createRoot(place);
      if (!place.firstChild) root.render(h(App));
      window.unmount = () => root.unmount();`,
  },
};

/** @type {import('playwright-core').Browser} */
let browser;
/** @type {Demo} */
let demo;
let room = '';

before(async () => {
  browser = await launchChromium();
  demo = await Demo.start();
  // Inside of node_modules, so that the packages are found and nothing else looks there.
  room = mkdtempSync(join(here, 'node_modules/.docs-'));
});
after(async () => {
  await browser?.close();
  await demo?.stop();
  if (room) rmSync(room, { recursive: true });
});

/** Vue leaves comments where it puts a list. @param {string} html */
const bare = (html) => html.replace(/<!--.*?-->/g, '');

/** A page of the demo with this in it, and the script at work. @param {string} html @param {string} script */
async function started(html, script) {
  const page = await browser.newPage();
  /** @type {string[]} */
  const faults = [];
  page.on('pageerror', (error) => faults.push(String(error)));
  page.on('console', (message) => {
    // What a framework has to say. The demo has no icon for the browser.
    if (/error|warning/.test(message.type()) && !/favicon|Failed to load/.test(message.text())) faults.push(message.text());
  });
  await page.goto(demo.http('/healthz'));
  await page.evaluate((html) => (document.body.innerHTML = `<div id="app">${html}</div>`), html);
  await page.addScriptTag({ type: 'module', content: script });
  return Object.assign(page, { faults });
}

for (const [name, { app, html, start }] of Object.entries(APPS)) {
  test(`${name}: what the documentation shows`, async () => {
    const documentation = readFileSync(join(here, '../../docs/client.md'), 'utf8');
    const code = new RegExp(`^## ${name}\n+\`\`\`js\n([^]*?)^\`\`\``, 'm').exec(documentation)?.[1] ?? '';
    const lines = code.trimEnd().split('\n').length;
    assert.ok(lines > 1 && lines <= 40, `${lines} lines`);
    const folder = join(room, name);
    mkdirSync(folder);
    for (const [file, text] of Object.entries({ 'use-keywire': code, app, html, start })) writeFileSync(join(folder, `${file}.js`), text);

    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({
      extends: join(here, 'tsconfig.json'),
      compilerOptions: { allowJs: true, paths: { keywire: [client.replace(/\.js$/, '.d.ts')] } },
      include: [],
      files: ['use-keywire.js'],
    }));
    execFileSync(join(here, 'node_modules/.bin/tsc'), ['-p', folder], { stdio: 'inherit' });

    // On a server, in a process that has to end by itself.
    const outfile = join(folder, 'html.cjs');
    await build({ entryPoints: [join(folder, 'html.js')], bundle: true, outfile, platform: 'node', alias: { keywire: client } });
    const rendered = execFileSync(process.execPath, [outfile], { encoding: 'utf8', timeout: 60_000 });
    assert.equal(bare(rendered), '<p id="status">idle</p><p id="heard"></p><p id="notice"></p>');

    const { outputFiles } = await build({
      entryPoints: [join(folder, 'start.js')], bundle: true, write: false, format: 'esm', alias: { keywire: client },
      define: { 'process.env.NODE_ENV': '"development"', ...Object.fromEntries(VUE_FLAGS.map((flag) => [flag, 'false'])) },
    });
    for (const before of ['', rendered]) {
      const page = await started(before, outputFiles[0].text);
      await page.locator('#status', { hasText: 'open' }).waitFor();
      await until(async () => (await demo.stats()).sessions === 1, 'one session, however often it was mounted');
      for (const msg of ['one ', 'two ', 'three']) await demo.post('/push/vera', { msg, flag: 'inform' });
      await page.locator('#heard', { hasText: /^one two three$/ }).waitFor();
      await page.locator('#notice', { hasText: /^three$/ }).waitFor();
      await page.evaluate(() => /** @type {any} */ (window).unmount());
      await until(async () => (await demo.stats()).sessions === 0, 'no session is left');
      assert.deepEqual(page.faults, []);
      await page.close();
    }
  });
}

test('a Svelte store is told of the status and of pushes, until it leaves', async () => {
  const [, code] = /^```js\n(\/\/ keywire-store.js\n.*?)^```$/ms.exec(readFileSync(join(here, '../../docs/client.md'), 'utf8')) ?? [];
  const { statusOf, latestOf } = await import(`data:text/javascript,${encodeURIComponent(code ?? '')}`);
  /** @type {(push: object) => void} */
  let push = () => {};
  let left = 0;
  const on = (/** @type {string} */ flag, /** @type {(push: object) => void} */ handler) => {
    assert.equal(flag, 'order');
    push = handler;
    return () => (left += 1);
  };
  const wire = Object.assign(new EventTarget(), { status: 'idle', on });
  /** @type {unknown[]} */
  const seen = [];
  const leave = [statusOf(wire).subscribe((/** @type {string} */ is) => seen.push(is))];
  leave.push(latestOf(wire, 'order').subscribe((/** @type {unknown} */ is) => seen.push(is)));
  wire.status = 'open';
  wire.dispatchEvent(new Event('status'));
  push({ data: 17 });
  for (const end of leave) end();
  wire.dispatchEvent(new Event('status'));
  assert.deepEqual([seen, left], [['idle', undefined, 'open', { data: 17 }], 1]);
});
