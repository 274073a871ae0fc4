// Parses one JSON line of wazuh-execd (Wazuh 4.2 and later, and Wazuh 5) into a Request. Pure.
import type { Config } from '../config/schema.ts';
import type { AlertFacts } from '../policy/entries.ts';
import { at, isObject, textAt, type Json, type JsonObject } from './json.ts';
import { ProtocolError, readObject, wrongCommand } from './protocol-error.ts';
import { readAlertId, readReason, readRuleId, type Request } from './request.ts';
import { findSource } from './source.ts';

/** Longer than any sensible timeout, and short enough for exact arithmetic in milliseconds. */
const LONGEST_TIMEOUT_SECONDS = 2 ** 31;

/** The fields that can hold the address of a message, in order of preference. */
export type AddressFields = Pick<Config['alert'], 'addressFields' | 'wazuh5Fields'>;

/**
 * Throws `BAD_DATA` if the line is not a message of either dialect. The caller refuses a message without an address.
 */
export function readMessage(line: Buffer, fields: AddressFields): Request {
  if (line.includes(0)) throw refused('the message contains a NUL byte');
  const message = readObject(line.toString('utf8'), 'BAD_DATA', 'the message');
  if (isObject(at(message, 'wazuh'))) return readWazuh5(message, fields.wazuh5Fields);
  if (isObject(at(message, 'parameters'))) return readWazuh4(message, fields.addressFields);
  throw refused('the message has neither `parameters` (Wazuh 4) nor `wazuh` (Wazuh 5)');
}

function refused(message: string): ProtocolError {
  return new ProtocolError('BAD_DATA', 'Invalid input format', message);
}

function readWazuh4(message: JsonObject, fields: readonly string[]): Request {
  const alert = at(message, 'parameters', 'alert');
  // Wazuh's own program refuses a message without a version. Here, only the text for a missing address depends on it.
  const isVersioned = typeof at(message, 'version') === 'number';
  return {
    dialect: 'wazuh4',
    action: readAction(message, 'add', 'delete'),
    ...findSource(alert, fields),
    addressProblem: isVersioned ? "Cannot read 'srcip' from data" : 'Invalid input format',
    alertId: readAlertId(textAt(alert, 'id')),
    ruleId: readRuleId(textAt(alert, 'rule', 'id')),
    timeoutSeconds: undefined,
    reason: readReason(textAt(alert, 'rule', 'description')),
    extraArguments: readTexts(at(message, 'parameters', 'extra_args')),
    facts: readFacts(alert, ['rule'], ['agent', 'name']),
  };
}

function readWazuh5(message: JsonObject, fields: readonly string[]): Request {
  const words = textAt(message, 'wazuh', 'active_response', 'extra_arguments') ?? '';
  return {
    dialect: 'wazuh5',
    action: readAction(message, 'enable', 'disable'),
    ...findSource(message, fields),
    addressProblem: "Cannot read 'source.ip' from data",
    alertId: null,
    ruleId: null,
    timeoutSeconds: readTimeout(message),
    reason: readReason(textAt(message, 'wazuh', 'rule', 'title')),
    extraArguments: words.split(/\s+/).filter((word) => word !== ''),
    facts: readFacts(message, ['wazuh', 'rule'], ['wazuh', 'agent', 'name']),
  };
}

function readAction(message: JsonObject, block: string, unblock: string): Request['action'] {
  const command = at(message, 'command');
  if (command === block) return 'block';
  if (command === unblock) return 'unblock';
  const wanted = `the message's \`command\` is neither ${block} nor ${unblock}`;
  throw wrongCommand(command, 'BAD_DATA', wanted);
}

/**
 * Returns null for a stateless response, which execd never disables, and for a timeout that is 0 or not a valid number.
 */
function readTimeout(message: JsonObject): number | null {
  const response = at(message, 'wazuh', 'active_response');
  if (at(response, 'type') === 'stateless') return null;
  const candidates = [at(response, 'stateful_timeout'), at(message, 'stateful_timeout')];
  return candidates.find(isTimeout) ?? null;
}

function isTimeout(value: Json | undefined): value is number {
  if (typeof value !== 'number' || !Number.isInteger(value)) return false;
  return value > 0 && value <= LONGEST_TIMEOUT_SECONDS;
}

/** `rule` and `agent` are the paths of the rule and of the agent's name in the document. */
function readFacts(
  document: Json | undefined,
  rule: readonly string[],
  agent: readonly string[],
): AlertFacts {
  const level = textOf(at(document, ...rule, 'level'));
  return {
    ruleId: textOf(at(document, ...rule, 'id')),
    level: level !== null && /^[0-9]{1,2}$/.test(level) ? Number(level) : null,
    groups: readTexts(at(document, ...rule, 'groups')),
    agent: textOf(at(document, ...agent)),
    field: (path) => textOf(at(document, ...path.split('.'))),
  };
}

function readTexts(value: Json | undefined): string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : [];
}

function textOf(value: Json | undefined): string | null {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : null;
}
