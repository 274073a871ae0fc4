// Parses one JSON line of wazuh-execd, of Wazuh 4.2 and later and of Wazuh 5, into a Request. Pure.
import type { Config } from '../config/schema.ts';
import type { AlertFacts } from '../policy/entries.ts';
import { at, isObject, textAt, type Json, type JsonObject } from './json.ts';
import { ProtocolError, readObject, wrongCommand } from './protocol-error.ts';
import { readAlertId, readReason, readRuleId, type Request } from './request.ts';
import { findSource } from './source.ts';

/** Longer than any timeout that means anything, and far from where arithmetic on milliseconds loses precision. */
const LONGEST_TIMEOUT_SECONDS = 2 ** 31;

/** Where a message may hold its address, in order of preference. */
export type AddressFields = Pick<Config['alert'], 'addressFields' | 'wazuh5Fields'>;

/** Throws `BAD_DATA` when the line is not a message of either dialect. A missing address is for the caller to refuse. */
export function readMessage(line: Buffer, fields: AddressFields): Request {
  if (line.includes(0)) throw refused('the message has a NUL byte inside');
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
  // Wazuh's own program wants a version first; an address is reason enough for us to do what is asked.
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

/** A stateless response is never disabled, so it has no deadline; neither has one whose timeout is 0 or not a number. */
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

/** `rule` and `agent` are the paths to the rule and to the agent's name in a document. */
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
