// Parses JSON that an attacker can influence: the first value of a repeated key counts, and no key reaches a prototype.
import { orElse } from '../model/errors.ts';

export type Json = null | boolean | number | string | Json[] | JsonObject;
export interface JsonObject {
  [key: string]: Json;
}

/** The nesting limit of cJSON, execd's own parser. */
const DEEPEST = 1000;

const TOKEN = /[ \t\n\r]*(?:([{}[\],:])|("[^"\\]*(?:\\.[^"\\]*)*")|([^\s,\]}]+))/y;

interface Frame {
  readonly container: Json[] | JsonObject;
  /** In an object, the key whose value comes next. */
  key: string | null;
}

/**
 * Throws SyntaxError if the text is not exactly one JSON value. `JSON.parse` checks the syntax, but it keeps the last
 * value of a repeated key. Therefore the value is built here from the checked text, without recursion.
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

/** Returns null if the text is not JSON. */
export function jsonOrNull(text: string): Json {
  return orElse(null, () => parseJson(text));
}

/** Follows own properties of objects, one for each name. */
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
