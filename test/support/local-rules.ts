/**
 * Applies the decoders and rules of packaging/wazuh to a line as a Wazuh 4 manager does. Written from its
 * documentation; it is not the manager's engine.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Json } from '../../src/wazuh/json.ts';
import { readXml, type Element } from '../../src/manager/xml.ts';

const FOLDER = join(__dirname, '../../packaging/wazuh');

export const packaged = (file: string): string => readFileSync(join(FOLDER, file), 'utf8');

/**
 * Translates OS_Regex: a backslash makes a class, `( ) | ^ $` and the quantifiers have their usual meaning, other
 * characters are literal.
 */
export function osRegex(pattern: string): RegExp {
  const CLASSES: Readonly<Record<string, string>> = {
    w: '[A-Za-z0-9@_-]',
    W: '[^A-Za-z0-9@_-]',
    d: '[0-9]',
    D: '[^0-9]',
    s: ' ',
    S: '[^ ]',
    p: '[!-/:-@[-`{-~]',
    '.': '.',
  };
  const source = pattern.replace(/\\(.)|[.*+?[\]{}]/g, (mark, letter: string | undefined, at) => {
    if (letter !== undefined) return CLASSES[letter] ?? `\\${letter}`;
    const follows = /\\.$/.test(pattern.slice(0, at as number));
    return (mark === '+' || mark === '*') && follows ? mark : `\\${mark}`;
  });
  return new RegExp(source, 's');
}

/** Matches OS_Match: literal text, with `|` between alternatives, `^` before and `$` after one. */
function osMatch(pattern: string, text: string): boolean {
  return pattern.split('|').some((alternative) => {
    const literal = alternative.replace(/^\^|\$$/g, '');
    if (alternative.startsWith('^')) return text.startsWith(literal);
    return alternative.endsWith('$') ? text.endsWith(literal) : text.includes(literal);
  });
}

export interface Decoded {
  readonly decoder: string;
  readonly fields: Readonly<Record<string, string>>;
}

/** The prematch of Wazuh 4.14's decoder `ar_log` for lines of Linux, and the fields that it reads after it. */
const AR_LOG =
  '^\\w\\w\\w \\w+\\s+\\d+ \\d\\d:\\d\\d:\\d\\d \\p*\\w+ \\d+ /\\S+/active-response/bin/';
const AR_LOG_FIELDS = '^(\\S+) (\\S+) \\S+ (\\S+) (\\.+) ';
const OSSEC = 'ossec: ';

/** Decodes a line; null if no decoder matches. */
export function decode(line: string): Decoded | null {
  if (osRegex('^{\\s*"').test(line)) return { decoder: 'json', fields: jsonFields(line) };
  const head = osRegex(AR_LOG).exec(line)?.[0];
  if (head !== undefined) {
    const found = osRegex(AR_LOG_FIELDS).exec(line.slice(head.length)) ?? [];
    const [, script = '', type = '', srcip = '', id = ''] = found;
    return { decoder: 'ar_log', fields: { script, type, srcip, id } };
  }
  return line.startsWith(OSSEC) ? decodeReport(line) : null;
}

function decodeReport(line: string): Decoded {
  const rest = line.slice(OSSEC.length);
  for (const decoder of localDecoders()) {
    const prematch = child(decoder, 'prematch');
    const head = osRegex(prematch?.text ?? '').exec(rest)?.[0];
    // Text that is not JSON gives no fields, and the decoder keeps its name.
    if (head !== undefined)
      return { decoder: 'ossec', fields: jsonFields(rest.slice(head.length)) };
  }
  return { decoder: 'ossec', fields: {} };
}

/** Returns each value as text, with nested keys joined by dots. Omits null values, and returns arrays as JSON. */
function jsonFields(text: string): Record<string, string> {
  try {
    return Object.fromEntries(flatten('', JSON.parse(text) as Json));
  } catch {
    return {};
  }
}

function flatten(name: string, value: Json): [string, string][] {
  if (value === null) return [];
  if (typeof value !== 'object') return [[name, String(value)]];
  if (Array.isArray(value)) return [[name, JSON.stringify(value)]];
  const prefix = name === '' ? '' : `${name}.`;
  return Object.entries(value).flatMap(([key, inner]) => flatten(prefix + key, inner));
}

function localDecoders(): readonly Element[] {
  const { roots } = readXml(packaged('local_decoder.xml'));
  return roots.filter((decoder) => child(decoder, 'parent')?.text === 'ossec');
}

function child(element: Element, name: string): Element | undefined {
  return element.children.find((one) => one.name === name);
}

export interface Raised {
  readonly id: string;
  readonly level: number;
}

/** Wazuh's own rules that ours refer to, reduced to the relevant parts. */
const SHIPPED = `
  <rule id="530" level="0"><decoded_as>ossec</decoded_as><match>^ossec: output: </match></rule>
  <rule id="600" level="0"><decoded_as>ar_log</decoded_as></rule>
  <rule id="601" level="3"><if_sid>600</if_sid><field name="script">firewall-drop</field><field name="type">add</field></rule>
  <rule id="602" level="3"><if_sid>600</if_sid><field name="script">firewall-drop</field><field name="type">delete</field></rule>
  <rule id="607" level="3"><if_sid>600</if_sid></rule>`;

/** Returns all rules except those that count others. */
export function rules(): readonly Element[] {
  const own = readXml(packaged('local_rules.xml')).roots.flatMap(({ children }) => children);
  return [...readXml(SHIPPED).roots, ...own].filter((rule) => !('frequency' in rule.attributes));
}

/**
 * Returns the rule that a line raises; null if there is none. Throws if two of our rules match on one level, because
 * the result would then depend on the manager's order of rules. Rule 607 matches only if 601 and 602 do not.
 */
export function raisedBy(line: string): Raised | null {
  const decoded = decode(line);
  return decoded === null ? null : descend(undefined, decoded, line);
}

function descend(parent: string | undefined, decoded: Decoded, line: string): Raised | null {
  const fitting = rules()
    .filter((rule) => child(rule, 'if_sid')?.text === parent && fits(rule, decoded, line))
    .filter(({ attributes }, _index, all) => attributes['id'] !== '607' || all.length === 1);
  const [rule, second] = fitting;
  if (second !== undefined) {
    throw new Error(`rules ${fitting.map(idOf).join(' and ')} both fit ${line}`);
  }
  if (rule === undefined) return null;
  const own = { id: idOf(rule), level: Number(rule.attributes['level']) };
  return descend(own.id, decoded, line) ?? own;
}

function idOf({ attributes }: Element): string {
  return attributes['id'] ?? '';
}

function fits(rule: Element, { decoder, fields }: Decoded, line: string): boolean {
  return rule.children.every(({ name, text, attributes }) => {
    if (name === 'decoded_as') return text === decoder;
    if (name === 'match') return osMatch(text, line);
    if (name === 'field') return osRegex(text).test(fields[attributes['name'] ?? ''] ?? '');
    return ['if_sid', 'description', 'group'].includes(name);
  });
}
