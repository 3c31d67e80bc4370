// The types of the client in plain JavaScript. `npm run check` compiles this file. Nothing runs it.

import { Keywire } from 'keywire';

/** @typedef {{ order: { id: number, total: number }, inform: string }} Pushes */

/** @type {Keywire<Pushes>} */
export const wire = new Keywire('/websocket', { key: 'alice' });

wire.on('order', (push) => push.data.total.toFixed());
// @ts-expect-error: an order has no sum.
wire.on('order', (push) => push.data.sum);
// @ts-expect-error: no such flag.
wire.on('odrer', () => {});

/** @type {import('keywire').ReplyOf<{ number: number }>} */
export const reply = await wire.request({ buy: 7 });
// @ts-expect-error: a reply may have no data.
reply.data.number;
