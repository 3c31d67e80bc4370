// The Vue composable and the React hook of docs/client.md: as short as promised, well typed, and at work in Chromium.

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

/** What a page makes of them: the status, what was heard, and a button that takes it all down. @type {Record<string, string>} */
const APPS = {
  Vue: `
    import { createApp, h, ref } from 'vue';
    import { useKeywire, usePush } from './use-keywire.js';
    const app = createApp({
      setup() {
        const { wire, status, notice } = useKeywire('/websocket', { key: 'vera' });
        const heard = ref('');
        usePush(wire, 'inform', ({ msg }) => (heard.value += msg));
        const show = (id, text) => h('p', { id }, text);
        return () => [show('status', status.value), show('heard', heard.value), show('notice', notice.value?.msg)];
      },
    });
    app.mount('#app');
    window.unmount = () => app.unmount();`,
  React: `
    import { StrictMode, createElement as h, useState } from 'react';
    import { createRoot } from 'react-dom/client';
    import { useKeywire, usePush } from './use-keywire.js';
    function App() {
      const { wire, status } = useKeywire('/websocket', { key: 'vera' });
      const [heard, setHeard] = useState('');
      const [notice, setNotice] = useState('');
      usePush(wire, 'inform', ({ msg }) => setHeard((all) => all + msg));
      usePush(wire, '*', ({ msg }) => setNotice(msg));
      const show = (id, text) => h('p', { id, key: id }, text);
      return [show('status', status), show('heard', heard), show('notice', notice)];
    }
    const root = createRoot(document.getElementById('app'));
    root.render(h(StrictMode, null, h(App)));
    window.unmount = () => root.unmount();`,
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

for (const [name, app] of Object.entries(APPS)) {
  test(`${name}: what the documentation shows`, async () => {
    const documentation = readFileSync(join(here, '../../docs/client.md'), 'utf8');
    const code = new RegExp(`^## ${name}\n+\`\`\`js\n([^]*?)^\`\`\``, 'm').exec(documentation)?.[1] ?? '';
    const lines = code.trimEnd().split('\n').length;
    assert.ok(lines > 1 && lines <= 40, `${lines} lines`);
    const folder = join(room, name);
    mkdirSync(folder);
    writeFileSync(join(folder, 'use-keywire.js'), code);
    writeFileSync(join(folder, 'app.js'), app);

    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({
      extends: join(here, 'tsconfig.json'),
      compilerOptions: { allowJs: true, paths: { keywire: [client.replace(/\.js$/, '.d.ts')] } },
      include: [],
      files: ['use-keywire.js'],
    }));
    execFileSync(join(here, 'node_modules/.bin/tsc'), ['-p', folder], { stdio: 'inherit' });

    const { outputFiles } = await build({
      entryPoints: [join(folder, 'app.js')], bundle: true, write: false, format: 'esm', alias: { keywire: client },
      define: { 'process.env.NODE_ENV': '"development"', ...Object.fromEntries(VUE_FLAGS.map((flag) => [flag, 'false'])) },
    });
    const page = await browser.newPage();
    /** @type {string[]} */
    const faults = [];
    page.on('pageerror', (error) => faults.push(String(error)));
    await page.goto(demo.http('/healthz'));
    await page.evaluate(() => (document.body.innerHTML = '<div id="app"></div>'));
    await page.addScriptTag({ type: 'module', content: outputFiles[0].text });

    await page.locator('#status', { hasText: 'open' }).waitFor();
    await until(async () => (await demo.stats()).sessions === 1, 'one session, however often it was mounted');
    for (const msg of ['one ', 'two ', 'three']) await demo.post('/push/vera', { msg, flag: 'inform' });
    await page.locator('#heard', { hasText: /^one two three$/ }).waitFor();
    await page.locator('#notice', { hasText: /^three$/ }).waitFor();
    await page.evaluate(() => /** @type {any} */ (window).unmount());
    await until(async () => (await demo.stats()).sessions === 0, 'no session is left');
    assert.deepEqual(faults, []);
    await page.close();
  });
}
