// Tokens as a login would sign them.

import { createHmac } from 'node:crypto';

export const SECRET = 'a secret that is long enough for HS256';

/** A token of `sub` that ends at `exp`, in s since 1970. @param {string} sub @param {number} exp */
export function token(sub, exp) {
  const part = (/** @type {object} */ json) => Buffer.from(JSON.stringify(json)).toString('base64url');
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub, exp: Math.floor(exp) })}`;
  return `${signed}.${createHmac('sha256', SECRET).update(signed).digest('base64url')}`;
}
