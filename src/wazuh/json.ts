// Reads JSON that an attacker had a hand in: of a key given twice the first counts, and no key reaches a prototype.
import { orElse } from '../model/errors.ts';

export type Json = null | boolean | number | string | Json[] | JsonObject;
export interface JsonObject {
  [key: string]: Json;
}

/** As deep as execd's own parser goes (cJSON's nesting limit). */
const DEEPEST = 1000;

const TOKEN = /[ \t\n\r]*(?:([{}[\],:])|("[^"\\]*(?:\\.[^"\\]*)*")|([^\s,\]}]+))/y;

interface Frame {
  readonly container: Json[] | JsonObject;
  /** The key whose value is awaited, in an object. */
  key: string | null;
}

/**
 * Throws SyntaxError on anything that is not one JSON value. `JSON.parse` decides that; it lets the last of
 * equal keys win, so the value itself is built here, from a text known to be well-formed, without recursion.
 */
export function parseJson(text: string): Json {
  JSON.parse(text);
  const root: Frame = { container: [], key: null };
  const stack: Frame[] = [root];
  TOKEN.lastIndex = 0;
  for (let token = TOKEN.exec(text); token !== null; token = TOKEN.exec(text)) {
    takeToken(token, stack);
    if (stack.length > DEEPEST) throw new SyntaxError(`nested deeper than ${DEEPEST} levels`);
  }
  return (root.container as Json[])[0] ?? null;
}

/** Null where it is none. */
export function jsonOrNull(text: string): Json {
  return orElse(null, () => parseJson(text));
}

/** Only own, exactly named properties, one step for each name. */
export function at(value: Json | undefined, ...names: readonly string[]): Json | undefined {
  let current = value;
  for (const name of names) {
    if (!isObject(current) || !Object.hasOwn(current, name)) return undefined;
    current = current[name];
  }
  return current;
}

export function textAt(value: Json | undefined, ...names: readonly string[]): string | undefined {
  const found = at(value, ...names);
  return typeof found === 'string' ? found : undefined;
}

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function takeToken([, mark, string, scalar]: RegExpExecArray, stack: Frame[]): void {
  if (mark === '{') open(Object.create(null) as JsonObject, stack);
  else if (mark === '[') open([], stack);
  else if (mark === '}' || mark === ']') stack.pop();
  else if (mark === undefined) takeScalar(string ?? scalar ?? '', stack);
}

function takeScalar(token: string, stack: Frame[]): void {
  const value = JSON.parse(token) as Json;
  const frame = stack.at(-1);
  const awaitsKey = frame !== undefined && !Array.isArray(frame.container) && frame.key === null;
  if (awaitsKey) frame.key = value as string;
  else put(value, frame);
}

function open(container: Json[] | JsonObject, stack: Frame[]): void {
  put(container, stack.at(-1));
  stack.push({ container, key: null });
}

function put(value: Json, frame: Frame | undefined): void {
  if (frame === undefined) return;
  const { container, key } = frame;
  if (Array.isArray(container)) container.push(value);
  else if (key !== null && !Object.hasOwn(container, key)) container[key] = value;
  frame.key = null;
}
