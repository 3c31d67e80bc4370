// Chromium on this machine, found as in scripts/setup: the first name that exists and runs.

import { spawnSync } from 'node:child_process';
import { accessSync, constants, readFileSync } from 'node:fs';
import { delimiter, resolve } from 'node:path';

const names = readFileSync(new URL('chromium-names.txt', import.meta.url), 'utf8').split('\n').filter(Boolean);

/**
 * Path of the browser. The environment variable CHROMIUM, a name or an absolute path, replaces the list.
 * @param {{ CHROMIUM?: string, PATH?: string }} [env]
 */
export function chromiumPath({ CHROMIUM, PATH = '' } = process.env) {
  const directories = PATH.split(delimiter);
  /** @param {string} name */
  const lookUp = (name) => directories.map((directory) => resolve(directory, name)).find(isExecutable) ?? [];
  const paths = (CHROMIUM ? [CHROMIUM] : names).flatMap(lookUp);
  // A start takes time, so a single candidate is not tried.
  const path = paths.length > 1 ? paths.find(runs) : paths[0];
  if (!path) throw new Error('no Chromium found: run scripts/setup test, or name one in CHROMIUM');
  return path;
}

/** @param {string} path */
function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** @param {string} path */
const runs = (path) => spawnSync(path, ['--version'], { stdio: 'ignore' }).status === 0;
