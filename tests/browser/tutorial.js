// Follows a page of the book: takes its commands, files and changes as they stand there, and builds what they make.

import { execFile } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

const ROOT = resolve(import.meta.dirname, '../..');
const TARGET = resolve(ROOT, process.env.CARGO_TARGET_DIR ?? 'target');
/** @type {(file: string, args: string[], options?: import('node:child_process').ExecFileOptions) => Promise<{ stdout: string | Buffer }>} */
const run = promisify(execFile);

/** One fenced block of a page. @typedef {{ kind: string, text: string }} Block */

/** The fenced blocks of a page, in order. @param {string} page @returns {Block[]} */
export function blocks(page) {
  const text = readFileSync(join(ROOT, 'docs', page), 'utf8');
  return [...text.matchAll(/^```([a-z]*)[^\n]*\n(.*?)^```$/gms)].map(([, kind, block]) => ({ kind, text: block }));
}

/** A page without its fenced blocks. @param {string} page */
export const prose = (page) => readFileSync(join(ROOT, 'docs', page), 'utf8').replace(/^```.*?^```$/gms, '');

/** The crate of a reader who does what the page says. */
export class Reader {
  /** @param {string} name The name of the crate. @param {(text: string) => string} edit Changes every block, as for another port. */
  constructor(name, edit = (text) => text) {
    this.name = name;
    this.edit = edit;
    this.directory = join(TARGET, 'tutorial', name);
    /** @type {Map<string, string>} */
    this.files = new Map();
    /** The lines of each section. @type {{ dependencies: string[], 'dev-dependencies': string[] }} */
    this.sections = { dependencies: [], 'dev-dependencies': [] };
  }

  /** Does what a block says: adds dependencies, writes a file, or changes files. Other blocks are left alone. @param {Block} block */
  follow({ kind, text }) {
    const edited = this.edit(text);
    if (kind === 'diff') return this.change(edited);
    const [, path] = /^(?:\/\/|<!--|#) ?(src\/\S+|tests\/\S+)/.exec(edited) ?? [];
    if (path) this.files.set(path, edited);
    for (const [, verb, what] of edited.matchAll(/^cargo (add|remove) (.*)$/gm)) {
      const words = what.trim().split(/\s+/);
      const section = words[0] === '--dev' ? 'dev-dependencies' : 'dependencies';
      if (section === 'dev-dependencies') words.shift();
      this.sections[section] = this.sections[section].filter((line) => !line.startsWith(`${words[0]} =`));
      if (verb === 'add') this.sections[section].push(dependency(words));
    }
  }

  /** Applies a change: the lines with a space and a minus must stand in one of the files, once. @param {string} diff */
  change(diff) {
    const lines = diff.split('\n').slice(0, -1);
    const of = (/** @type {string} */ signs) =>
      lines.filter((line) => signs.includes(line[0] ?? ' ')).map((line) => line.slice(1) + '\n').join('');
    const [before, after] = [of(' -'), of(' +')];
    const found = [...this.files].filter(([, text]) => text.split(before).length === 2);
    if (found.length !== 1) throw new Error(`${found.length} files have these lines:\n${before}`);
    const [[path, text]] = found;
    this.files.set(path, text.replace(before, () => after));
  }

  /** The opposite of a change. @param {string} diff */
  undo(diff) {
    const signs = { '+': '-', '-': '+' };
    this.change(diff.replace(/^[+-]/gm, (sign) => signs[/** @type {'+' | '-'} */ (sign)]));
  }

  /** Runs cargo in the crate, as it is now. @param {string[]} args */
  async cargo(...args) {
    for (const [path, text] of this.files) {
      mkdirSync(join(this.directory, path, '..'), { recursive: true });
      write(join(this.directory, path), text);
    }
    const lock = join(this.directory, 'Cargo.lock');
    if (!existsSync(lock)) copyFileSync(join(ROOT, 'Cargo.lock'), lock);
    // The profiles of keywire's own workspace, so that what they share is built once.
    write(
      join(this.directory, 'Cargo.toml'),
      [
        '[workspace]',
        `[package]\nname = "${this.name}"\nversion = "0.1.0"\nedition = "2024"`,
        ...Object.entries(this.sections).map(([section, lines]) => `[${section}]\n${lines.join('\n')}`),
        '[profile.dev]\ndebug = "line-tables-only"\n[profile.dev.package."*"]\ndebug = false\n',
      ].join('\n'),
    );
    const { stdout } = await run('cargo', [...args, '--quiet', '--target-dir', TARGET], {
      cwd: this.directory,
      maxBuffer: 1 << 24,
    });
    return String(stdout);
  }

  /** Builds the program and returns a copy of it that a later build leaves alone. @param {string} label */
  async build(label) {
    await this.cargo('build');
    const program = join(this.directory, label);
    copyFileSync(join(TARGET, 'debug', this.name), program);
    return program;
  }
}

/** What `cargo add` makes of its words. @param {string[]} words */
function dependency([crate, ...options]) {
  const features = options.includes('--features') ? options[options.indexOf('--features') + 1].split(',') : [];
  const source = crate === 'keywire' ? `path = ${JSON.stringify(ROOT)}` : `version = ${JSON.stringify(version(crate))}`;
  const fields = [source, `features = ${JSON.stringify(features)}`];
  if (options.includes('--no-default-features')) fields.push('default-features = false');
  return `${crate} = { ${fields.join(', ')} }`;
}

/** Writes only what is new, so that cargo does not build again what did not change. @param {string} path @param {string} text */
function write(path, text) {
  if (!existsSync(path) || readFileSync(path, 'utf8') !== text) writeFileSync(path, text);
}

/** The version of a crate that keywire itself is tested with, else any. @param {string} crate */
function version(crate) {
  const lock = readFileSync(join(ROOT, 'Cargo.lock'), 'utf8');
  const versions = [...lock.matchAll(/^name = "(.+)"\nversion = "(.+)"$/gm)].filter(([, name]) => name === crate);
  return versions.at(-1)?.[2] ?? '*';
}
