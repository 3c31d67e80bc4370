// The types of the client, as an application in TypeScript uses them. `npm run check` compiles this file. Nothing runs it.
// Each `@ts-expect-error` has to be an error.

import { Keywire, type Handler, type Push, type PushOf, type ReplyOf } from 'keywire';

interface Order {
  id: number;
  total: number;
}

/** The type of `data` for each flag. */
interface Pushes {
  order: Order;
  inform: string;
}

export const wire: Keywire<Pushes> = new Keywire<Pushes>('/websocket', { key: 'alice' }).connect();

wire.on('order', (push) => {
  const total: number = push.data.total;
  const at: string | undefined = push.at;
  // @ts-expect-error: an order has no sum.
  return void [total, at, push.data.sum];
});
wire.on('inform', ({ data }) => data.toUpperCase());
wire.on('*', (push: Push) => console.log(push.code, push.data));
// @ts-expect-error: no such flag.
wire.on('odrer', () => {});
// @ts-expect-error: `data` of an order is no string.
wire.on('order', (push: PushOf<Pushes, 'inform'>) => push.data);

const order = (push: PushOf<Pushes, 'order'>) => console.log(push.data.id);
const leave: () => void = wire.on('order', order);
leave();
wire.off('order', order);
// @ts-expect-error: a handler of another flag.
wire.off('inform', order);

interface Receipt {
  number: number;
}
const reply: ReplyOf<Receipt> = await wire.request<Receipt>({ buy: 7 });
// @ts-expect-error: an error push has no data.
reply.data.number;
export const number: number | undefined = reply.data?.number;
// @ts-expect-error: a receipt has no sum.
reply.data?.sum;
wire.addEventListener('close', ({ detail }) => detail.unsent?.map(({ flag }) => flag));

// Without a type argument any flag has any data.
export const plain = new Keywire('/websocket');
plain.on('anything', (push) => push.data.any.thing + push.data?.['else']);
plain.on('*', ({ sender, data }) => [sender?.length, data.any]);
const handler: Handler = (push) => push.data?.any;
plain.on('anything', handler);
plain.off('anything', handler);
export const answer: Push = await plain.request({ any: 1 }, { flag: 'anything' });
answer.data.any;
const flag: string = 'known at run time';
plain.on(flag, handler);

// Some flags known, others not.
interface Mixed {
  order: Order;
  [flag: string]: any;
}
declare const mixed: Keywire<Mixed>;
mixed.on('order', (push) => push.data.total.toFixed());
mixed.on('other', (push) => push.data.any);
// @ts-expect-error: an order has no sum.
mixed.on('order', (push) => push.data.sum);

// A helper for any client, as the recipes in docs/client.md.
declare function show(wire: Keywire<any>): void;
show(wire);
show(plain);
