// The cluster: on which node this page is, what the nodes report, who is online on any of them.

import { $, element } from './dom.js';

/** @typedef {import('/keywire.js').Keywire} Keywire */
/** @typedef {{ engine: string, node: string, name: string, peers: string[], killable: boolean }} Config */
/**
 * @typedef {{ node: string, name: string, is_connected: boolean, sessions: number, keys: [key: string, sessions: number][], more: number }} Report
 */

/** Time after which a node without a report counts as dead. Nodes report every second. */
const SILENCE = 3500;
/** Time after which a dead node is no longer shown. */
const FORGOTTEN = 60_000;
/** Number of keys that are shown as online. */
const SHOWN = 60;

/**
 * The node to connect to: that of the page, and after `lost` the next one.
 * @param {string[]} peers
 */
export function nextNode(peers) {
  const nodes = [location.origin, ...peers.map((peer) => (peer.includes('://') ? peer : `${location.protocol}//${peer}`))];
  let at = 0;
  return {
    origin: () => nodes[at],
    lost: () => {
      at = (at + 1) % nodes.length;
    },
  };
}

/** @param {Keywire} wire @param {Config} config */
export function cluster(wire, { engine, killable }) {
  /** The node of this page. */
  let here = '';
  /** @type {Map<string, Report & { at: number }>} By id. */
  const nodes = new Map();
  /** @type {Set<string>} */
  const online = new Set();

  /** @param {Report} report */
  function heard(report) {
    // A node that was started again has a new id and its old name.
    for (const [id, { name }] of nodes) if (name === report.name && id !== report.node) nodes.delete(id);
    nodes.set(report.node, { ...report, at: performance.now() });
    for (const [key] of report.keys) online.add(key);
    show();
  }

  function show() {
    const now = performance.now();
    for (const [id, { at }] of nodes) if (now - at > FORGOTTEN) nodes.delete(id);
    const sorted = [...nodes.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    $('nodes').replaceChildren(...sorted.map((node) => box(node, now - node.at > SILENCE)));
    const keys = [...online].sort();
    const more = keys.length > SHOWN ? [element('li', 'more', `and ${keys.length - SHOWN} more`)] : [];
    $('online').replaceChildren(...keys.slice(0, SHOWN).map((key) => chip(key)), ...more);

    const own = nodes.get(here);
    const isOpen = wire.status === 'open' && own !== undefined;
    $('kill').disabled = !isOpen;
    const [tone, text] =
      !isOpen ? ['wait', 'looking for a node']
      : own.is_connected ? ['good', `connected to ${engine}`]
      : ['bad', `${engine} is away`];
    $('cluster').dataset.tone = tone;
    if ($('cluster-state').textContent !== text) $('cluster-state').textContent = text;
    $('cluster-here').textContent = isOpen ? `This page is on node ${own.name}.` : 'The node of this page is gone.';
    $('cluster-help').textContent =
      isOpen && !own.is_connected ? 'Pushes reach the pages of their own node. Kept pushes of other nodes arrive later.'
      : 'A push at any node reaches the pages on all of them.';
  }

  wire.addEventListener('open', () => online.clear());
  wire.addEventListener('status', show);
  wire.on('here', ({ data }) => {
    here = data.node;
    heard(data);
  });
  wire.on('node', ({ data }) => heard(data));
  wire.on('presence', ({ data: { key, is_online: isOnline } }) => {
    if (isOnline) online.add(key);
    else online.delete(key);
    show();
  });
  setInterval(show, 1000);

  $('kill').hidden = !killable;
  $('kill').addEventListener('click', () => wire.send({ flag: 'kill' }));
  $('cluster').hidden = false;
  show();

  /** @param {Report} node @param {boolean} isDead */
  function box({ node, name, is_connected: isConnected, sessions, keys, more }, isDead) {
    const isHere = node === here && wire.status === 'open';
    const state =
      isDead ? 'no sign of life'
      : !isConnected ? `without ${engine}`
      : `${sessions} ${sessions === 1 ? 'session' : 'sessions'}`;
    const made = element(
      'li', 'node',
      element('p', 'name', element('b', '', name), element('span', 'id', node)),
      element('p', 'state', state, ...(isHere ? [element('span', 'tag', 'this page')] : [])),
      element('ul', 'keys', ...keys.map(([key, n]) => chip(key, n)), ...(more ? [element('li', 'more', `and ${more} more`)] : [])),
    );
    made.dataset.tone = isDead ? 'bad' : isConnected ? 'good' : 'wait';
    made.dataset.node = node;
    made.toggleAttribute('data-here', isHere);
    return made;
  }

  /** @param {string} key @param {number} [sessions] */
  function chip(key, sessions = 1) {
    return element('li', 'key', key, ...(sessions > 1 ? [element('span', 'times', `×${sessions}`)] : []));
  }
}
