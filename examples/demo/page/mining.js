// Mining: starts and stops a search, and shows its progress.

import { $, element, short, whole } from './dom.js';

/** @typedef {import('/keywire.js').Keywire} Keywire */

const POINTS = 120;

/** @param {Keywire} wire */
export function mining(wire) {
  /** @type {{ state: string, attempts: number, at: number, rate: number, rates: number[] }} */
  const mine = { state: 'idle', attempts: 0, at: 0, rate: 0, rates: [] };

  const difficulty = () => Number($('difficulty').value);

  function showDifficulty() {
    $('difficulty-value').textContent = `${difficulty()} zero bits`;
    $('difficulty-help').textContent = `About ${whole.format(2 ** difficulty())} attempts on average.`;
  }

  $('difficulty').addEventListener('input', showDifficulty);

  $('mine-form').addEventListener('submit', (/** @type {Event} */ event) => {
    event.preventDefault();
    wire.command({ do: 'mine', difficulty: difficulty() });
  });

  $('stop').addEventListener('click', () => wire.command({ do: 'stop' }));

  function showStop() {
    $('stop').disabled = wire.status !== 'open' || mine.state !== 'mining';
  }

  /** @param {string} state */
  function showMining(state) {
    mine.state = state;
    document.querySelector('.mine')?.setAttribute('data-state', state);
    $('mine-state').textContent = state;
    showStop();
  }

  /** Progress comes to all tabs of the key, not only to the one that started the search. @param {number} attempts */
  function progress(attempts) {
    const now = performance.now();
    if (mine.state !== 'mining' || attempts < mine.attempts) {
      Object.assign(mine, { attempts: 0, at: 0, rate: 0, rates: [] });
      $('block').hidden = true;
      $('rate').textContent = '–';
      drawSpark();
      showMining('mining');
    }
    if (mine.at > 0 && now - mine.at > 1) {
      const latest = ((attempts - mine.attempts) / (now - mine.at)) * 1000;
      mine.rate = mine.rate > 0 ? 0.7 * mine.rate + 0.3 * latest : latest;
      mine.rates = [...mine.rates, mine.rate].slice(-POINTS);
      $('rate').textContent = `${short.format(mine.rate)}/s`;
    }
    Object.assign(mine, { attempts, at: now });
    showAttempts(attempts);
    drawSpark();
  }

  /** @param {number} attempts */
  function showAttempts(attempts) {
    $('attempts').textContent = whole.format(attempts);
    $('odds').textContent = `${Math.round(100 * (1 - Math.exp(-attempts / 2 ** difficulty())))} %`;
  }

  function drawSpark() {
    const top = Math.max(...mine.rates, 1) * 1.15;
    const step = 600 / Math.max(mine.rates.length - 1, 1);
    const line = mine.rates.map((rate, i) => `${(i * step).toFixed(1)},${(90 - (rate / top) * 90).toFixed(1)}`).join('L');
    const enough = mine.rates.length > 1;
    $('spark-help').hidden = enough;
    $('spark').querySelector('.line').setAttribute('d', enough ? `M${line}` : '');
    $('spark').querySelector('.area').setAttribute('d', enough ? `M0,90L${line}L600,90Z` : '');
  }

  /** @param {{ nonce: number, hash: string, attempts: number }} block */
  function mined({ nonce, hash, attempts }) {
    const zeros = /^0*/.exec(hash)?.[0] ?? '';
    const rest = hash.slice(zeros.length);
    $('hash').replaceChildren(element('span', 'zeros', zeros), rest);
    $('nonce').textContent = String(nonce);
    showAttempts(attempts);
    $('block-attempts').textContent = whole.format(attempts);
    $('zero-bits').textContent = String(zeros.length * 4 + (rest ? Math.clz32(parseInt(rest[0], 16)) - 28 : 0));
    $('block').hidden = false;
    showMining('mined');
  }

  // These pushes carry no flag, so a page without this client can read them.
  wire.on('*', ({ code, msg, data, flag }) => {
    if (flag !== undefined) return;
    if (code === '01' && typeof data === 'number') progress(data);
    else if (code === '00' && typeof data?.hash === 'string') mined(data);
    else if (code === '00' && msg === 'stopped') showMining('stopped');
  });

  const showStatus = () => {
    $('start').disabled = wire.status !== 'open';
    if (wire.status !== 'open' && mine.state === 'mining') showMining('interrupted');
    showStop();
  };
  wire.addEventListener('status', showStatus);
  showDifficulty();
  showStatus();
}
