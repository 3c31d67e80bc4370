// Helpers for elements and numbers.

/** @param {string} id @returns {any} */
export const $ = (id) => document.getElementById(id);

/**
 * An element with text in it. Data from the server becomes text, never markup.
 * @param {string} tag @param {string} className @param {(string | Node)[]} children
 */
export function element(tag, className, ...children) {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...children);
  return made;
}

export const whole = new Intl.NumberFormat('en');
export const short = new Intl.NumberFormat('en', { notation: 'compact', maximumSignificantDigits: 3 });
