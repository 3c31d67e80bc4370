// The demo page: turns forms into messages and messages into elements. keywire.js handles the connection.

import { cluster, nextNode } from './cluster.js';
import { $, element, whole } from './dom.js';
import { Keywire } from '/keywire.js';
import { mining } from './mining.js';

/** @typedef {import('/keywire.js').Push} Push */

// ── Identity ────────────────────────────────────────────────────────────────────────────────────────────────────────

const REMEMBERED = 'keywire-demo-key';
const CALM = ['amber', 'brave', 'calm', 'clever', 'gentle', 'merry', 'quiet', 'silver', 'sunny', 'swift'];
const ANIMALS = ['badger', 'dolphin', 'falcon', 'finch', 'fox', 'heron', 'lynx', 'marten', 'otter', 'robin'];

/** @param {string[]} list */
const pick = (list) => list[Math.floor(Math.random() * list.length)];

const fromAddress = new URLSearchParams(location.search).get('key');
const remembered = sessionStorage.getItem(REMEMBERED);

const { auth, login, log, cluster: node } = await fetch('/config').then((answer) => answer.json());
const tokens = auth === 'token';
/** Whether tokens have another issuer, so that the user pastes one. */
const pasted = tokens && !login;

let token = (pasted && remembered) || '';
let key = pasted ? subject(token) : fromAddress || remembered || `${pick(CALM)}-${pick(ANIMALS)}`;

/** The user of a token, only to be shown. Empty for an invalid token. The server checks tokens. @param {string} token */
function subject(token) {
  try {
    const base64 = token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/');
    const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
    return String(JSON.parse(new TextDecoder().decode(bytes)).sub ?? '');
  } catch {
    return '';
  }
}

/** The credential. With a login, each attempt gets a new token. */
async function credential() {
  if (!tokens) return key;
  if (pasted) return token;
  const fetched = fetch('/login', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ key }),
  });
  // The node of the page may be gone. The other nodes accept the token that it issued.
  const answer = await fetched.catch((error) => (token && subject(token) === key ? null : Promise.reject(error)));
  if (answer === null) return token;
  if (!answer.ok) throw new Error(`login answered ${answer.status}`);
  return (token = (await answer.json()).token);
}

const { origin, lost } = nextNode(node?.peers ?? []);
// Unread pushes come again after a reload, until they are marked as read.
const wire = new Keywire(() => new URL('/websocket', origin()), { key: credential, follow: log && 'unread' });

/** @param {string} name */
function become(name) {
  if (pasted) token = name;
  key = pasted ? subject(token) : name;
  sessionStorage.setItem(REMEMBERED, name);
  if (fromAddress !== null && fromAddress !== key) history.replaceState(null, '', location.pathname);
  showKey();
  wire.connect();
}

function showKey() {
  const path = encodeURIComponent(key);
  // encodeURIComponent keeps the apostrophe, which would end the quotes of the shell.
  const push = `${origin()}/push/${path}`.replaceAll("'", '%27');
  $('key').value = pasted ? token : key;
  $('twin').href = `${origin()}/?key=${path}`;
  // If clients need a token, a push needs one too. $TOKEN is a variable of the shell, since a token must not be shown.
  const bearer = tokens ? ' -H "authorization: Bearer $TOKEN"' : '';
  const keep = log ? ',"keep":true' : '';
  $('curl-push').textContent = `curl${bearer} --json '{"code":"00","msg":"Your order is ready"${keep}}' '${push}'`;
  $('curl-broadcast').textContent = `curl${bearer} --json '{"code":"00","msg":"Coffee for everyone"}' '${origin()}/broadcast'`;
}

$('identity').addEventListener('submit', (/** @type {Event} */ event) => {
  event.preventDefault();
  if (wire.status === 'idle' || wire.status === 'closed') become($('key').value.trim());
  else {
    wire.close();
    sessionStorage.removeItem(REMEMBERED);
  }
});

$('now').addEventListener('click', () => wire.connect());

// ── The connection ──────────────────────────────────────────────────────────────────────────────────────────────────

const STATUS = { idle: 'not connected', connecting: 'connecting', open: 'connected', waiting: 'connection lost', closed: 'not connected' };

/** @type {Record<number, string>} */
const ENDINGS = {
  1000: 'You disconnected.',
  1009: 'The message was too large.',
  4501: 'The server does not accept this credential.',
  4503: 'The server does not allow this user here.',
  4504: 'A newer session of this key replaced this one.',
  4505: 'The server disconnected you.',
  4506: 'This key has too many sessions already.',
  4507: 'The new token belongs to another user.',
};

/** Time of the next attempt, by the clock of `performance.now`. */
let due = 0;

function showNext() {
  if (wire.status !== 'waiting') return;
  const seconds = Math.ceil((due - performance.now()) / 1000);
  $('next').textContent = seconds > 0 ? `Next attempt in ${seconds} s.` : 'Next attempt now.';
}

setInterval(showNext, 250);

/** @param {number} [delay] */
function showStatus(delay = 0) {
  const { status } = wire;
  const away = status === 'idle' || status === 'closed';
  $('status').dataset.status = status;
  $('status').textContent = STATUS[status];
  $('key-label').textContent = pasted ? 'Your token' : tokens && away ? 'Log in as' : 'Your key';
  $('key').readOnly = !away;
  $('connect').textContent = away ? (tokens ? 'Log in' : 'Connect') : tokens ? 'Log out' : 'Disconnect';
  $('connect').classList.toggle('primary', away);
  $('now').hidden = status !== 'waiting';
  $('send').disabled = status !== 'open';
  due = performance.now() + delay;
  $('next').textContent =
    status === 'open' ? 'All your tabs get your messages.'
    : status === 'connecting' ? 'Connecting to the server …'
    : status !== 'idle' || !tokens ? ''
    : pasted ? 'This server needs a token and cannot issue one. Paste a token of its issuer.'
    : 'This server needs a token. Log in to get one.';
  showNext();
  if (status !== 'open') for (const id of ['sessions', 'keys']) $(id).textContent = '–';
}

wire.addEventListener('status', ({ detail }) => {
  if (detail.status === 'waiting') lost();
  showStatus(detail.delay);
});

wire.addEventListener('close', ({ detail: { code, reason, final } }) => {
  if (final) $('next').textContent = ENDINGS[code] ?? `The server closed the connection for good (${code} ${reason}).`;
});

wire.addEventListener('error', ({ detail }) => console.warn('keywire:', detail));

// Only sessions that ask get counts. A new session must ask again.
wire.addEventListener('open', () => {
  wire.send({ flag: 'watch' });
  // The page may be on another node now.
  showKey();
});

wire.on('stats', ({ data }) => {
  $('sessions').textContent = whole.format(data.sessions);
  $('keys').textContent = whole.format(data.keys);
});

// ── Sending ─────────────────────────────────────────────────────────────────────────────────────────────────────────

$('send-form').addEventListener('submit', async (/** @type {Event} */ event) => {
  event.preventDefault();
  const reception = $('to').value.trim();
  const body = $('message').value;
  $('message').value = '';
  $('sent').textContent = '';
  try {
    const { code, data } = await wire.request(body, { flag: 'inform', reception });
    const n = data?.delivered;
    const elsewhere = data?.remote === 'published' ? ' of this node, and sent to the others' : '';
    if (code === '00') $('sent').textContent = n === undefined ? 'Delivered.' : `Delivered to ${n} ${n === 1 ? 'session' : 'sessions'}${elsewhere}.`;
    else $('sent').textContent = 'Not delivered.';
  } catch (error) {
    $('sent').textContent = `Delivery unknown: ${/** @type {Error} */ (error).message}.`;
  }
});

// ── Inbox ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Time at which the connection opened. Pushes kept before it were missed. */
let openedAt = 0;
let missed = 0;

/** @param {number} [n] */
function showMissed(n = 0) {
  missed = n;
  $('inbox').toggleAttribute('data-missed', n > 0);
  $('inbox-state').textContent = n > 0 ? `${n} ${n === 1 ? 'message' : 'messages'} while you were offline` : 'nothing missed';
}

$('inbox').hidden = !log;

wire.addEventListener('open', () => {
  openedAt = Date.now();
  showMissed();
});

wire.on('*', (push) => {
  if (push.at === undefined) return;
  const { from, text, tone } = describe(push);
  const time = element('time', '', new Date(push.time ?? 0).toLocaleTimeString([], { hour12: false }));
  const item = element('li', '', element('p', 'meta', element('b', '', from), time), element('p', 'text', text));
  item.dataset.tone = tone;
  item.dataset.at = push.at;
  const away = (push.time ?? 0) < openedAt;
  item.toggleAttribute('data-missed', away);
  if (away) showMissed(missed + 1);
  $('kept').prepend(item);
  while ($('kept').children.length > KEPT) $('kept').lastElementChild.remove();
  $('inbox-empty').hidden = true;
  $('seen').hidden = false;
});

wire.addEventListener('gap', ({ detail: { why } }) => {
  $('inbox-state').textContent = why === 'trimmed' ? 'older messages are no longer kept' : 'the log was reset: older messages are lost';
});

$('seen').addEventListener('click', () => {
  wire.seen();
  $('kept').replaceChildren();
  $('inbox-empty').hidden = false;
  $('seen').hidden = true;
  showMissed();
});

$('cut').addEventListener('click', () => {
  wire.close();
  $('cut').disabled = true;
  let left = 10;
  const count = () => {
    $('cut').textContent = left > 0 ? `Back in ${left} s` : 'Disconnect for 10 s';
    if (left-- > 0) return void setTimeout(count, 1000);
    $('cut').disabled = false;
    wire.connect();
  };
  count();
});

// ── Notices ─────────────────────────────────────────────────────────────────────────────────────────────────────────

const KEPT = 50;
const TOASTS = 3;
const TOAST_MS = 6000;

/** Other users have an @ in front of their names, so that no name looks like `server` or `you`. @param {Push} push */
function describe({ code, msg, data, sender }) {
  return {
    from: sender === undefined ? 'server' : sender === key ? 'you' : `@${sender}`,
    text: msg || JSON.stringify(data) || '',
    tone: code === '00' || code === '01' ? 'good' : 'bad',
    bare: !msg,
  };
}

/** @param {Push} push */
function toFeed(push) {
  const { from, text, tone, bare } = describe(push);
  const now = new Date();
  const time = element('time', '', now.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false }));
  /** @type {HTMLTimeElement} */ (time).dateTime = now.toISOString();
  const head = element('p', 'meta', element('b', '', from), time, element('span', 'code', push.code));
  const item = element('li', '', head, element('p', bare ? 'text data' : 'text', text));
  item.dataset.tone = tone;
  $('feed').prepend(item);
  while ($('feed').children.length > KEPT) $('feed').lastElementChild.remove();
  $('empty').hidden = true;
  $('clear').hidden = false;
}

/** @param {Push} push */
function toast(push) {
  const { from, text, tone } = describe(push);
  const dismiss = element('button', '', '×');
  dismiss.setAttribute('aria-label', 'Dismiss');
  const box = element('div', 'toast', element('p', 'meta', element('b', '', from)), element('p', 'text', text), dismiss);
  box.dataset.tone = tone;
  const leave = () => {
    // A toast stays while the pointer or the focus is on it.
    if (box.matches(':hover, :focus-within')) setTimeout(leave, 1500);
    else box.remove();
  };
  dismiss.addEventListener('click', () => box.remove());
  setTimeout(leave, TOAST_MS);
  $('toasts').append(box);
  while ($('toasts').children.length > TOASTS) $('toasts').firstElementChild.remove();
}

/** The reply to a successful request, which is shown next to its form. @param {Push} push */
const isAnswer = (push) => push.id !== undefined && push.code === '00';

wire.on('*', (push) => {
  if (push.flag === 'stats' || (push.code === '01' && push.msg === '')) return;
  if (!isAnswer(push)) toFeed(push);
});

wire.addEventListener('notice', ({ detail }) => {
  if (!isAnswer(detail)) toast(detail);
});

$('clear').addEventListener('click', () => {
  $('feed').replaceChildren();
  $('empty').hidden = false;
  $('clear').hidden = true;
});

for (const button of document.querySelectorAll('[data-copy]')) {
  button.addEventListener('click', async () => {
    const source = $(/** @type {HTMLElement} */ (button).dataset.copy ?? '');
    try {
      await navigator.clipboard.writeText(source.textContent);
      button.textContent = 'Copied';
      setTimeout(() => (button.textContent = 'Copy'), 1500);
    } catch {
      // Without https there is a clipboard only on localhost. Elsewhere the text is selected.
      getSelection()?.selectAllChildren(source);
    }
  });
}

mining(wire);
if (node) cluster(wire, node);

// ── Start ───────────────────────────────────────────────────────────────────────────────────────────────────────────

showKey();
showStatus();
// A user who had logged in before a reload is logged in again. Nobody is logged in without asking.
if (pasted) $('key').maxLength = 8192;
if (pasted ? token : !tokens || (remembered !== null && remembered === key)) become(pasted ? token : key);
