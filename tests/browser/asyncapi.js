// The AsyncAPI document of the wire, and its schemas at work.

import { readFileSync } from 'node:fs';
import { Ajv } from 'ajv';
import { parse } from 'yaml';

/** The document as it is. @returns {any} */
export const read = () => parse(readFileSync(new URL('../../docs/reference/asyncapi.yaml', import.meta.url), 'utf8'));

/** @param {unknown} value @returns {number} */
const depth = (value) =>
  typeof value === 'object' && value ? 1 + Object.values(value).reduce((most, inner) => Math.max(most, depth(inner)), 0) : 0;

/** The schemas of the messages of a document, strictly read: a misspelt keyword is an error. */
export class Schemas {
  #ajv = new Ajv({ strict: true, strictTypes: false, validateFormats: false });

  /** @param {any} document */
  constructor(document) {
    this.#ajv.addKeyword({
      keyword: 'x-max-bytes', schemaType: 'number', type: 'string',
      validate: (/** @type {number} */ most, /** @type {string} */ text) => Buffer.byteLength(text) <= most,
    });
    this.#ajv.addKeyword({
      keyword: 'x-max-depth', schemaType: 'number',
      validate: (/** @type {number} */ most, /** @type {unknown} */ value) => depth(value) <= most,
    });
    this.#ajv.addSchema({ $id: 'asyncapi', definitions: document.components.schemas });
    this.document = document;
  }

  /** What is wrong with a payload of a message, as the document sees it. `''`: nothing. @param {string} message @param {unknown} payload */
  fault(message, payload) {
    const { $ref } = this.document.components.messages[message].payload;
    const pointer = `asyncapi#/definitions/${$ref.split('/').at(-1)}`;
    const validate = this.#ajv.getSchema(pointer);
    if (!validate) throw new Error(`no schema ${pointer}`);
    return validate(payload) ? '' : this.#ajv.errorsText(validate.errors);
  }
}

/** The document with references to `#/components/schemas` that a JSON Schema validator can follow. @param {any} document */
export function resolvable(document) {
  return JSON.parse(JSON.stringify(document).replaceAll('#/components/schemas/', '#/definitions/'));
}

/** Every object in a value, with its path. @param {any} value @param {string[]} [path] @returns {[string[], any][]} */
export const nodes = (value, path = []) =>
  typeof value === 'object' && value
    ? [[path, value], ...Object.entries(value).flatMap(([name, inner]) => nodes(inner, [...path, name]))]
    : [];
