// Parses the messages and arguments of execd into a request, which has one form for all of execd's dialects. Pure.
import type { Config } from '../config/schema.ts';
import { parseAddress, type Address } from '../model/address.ts';
import { AppError } from '../model/errors.ts';
import type { AlertFacts } from '../policy/decide.ts';
import { printable } from '../system/printable.ts';
import { at, type Json, isObject, textAt, type JsonObject, parseJson } from './json.ts';

export interface Request extends Source {
  readonly dialect: 'wazuh4' | 'wazuh5' | 'ossec';
  readonly action: 'block' | 'unblock';
  /** The text that Wazuh's own program logs if there is no address. */
  readonly addressProblem: WazuhProblem;
  /** The alert's id; null if it does not have the form that Wazuh's rules decode. */
  readonly alertId: string | null;
  readonly ruleId: string | null;
  /**
   * The timeout in a message of Wazuh 5, in seconds; null if it has none. undefined for dialects that never send one.
   */
  readonly timeoutSeconds: number | null | undefined;
  /** The description of the rule, for people; printable and short. */
  readonly reason: string;
  /** The arguments that the manager's administrator gave the active response. */
  readonly extraArguments: readonly string[];
  readonly facts: AlertFacts;
}

export interface Source {
  /** null if none of the fields holds a literal address. */
  readonly address: Address | null;
  /** The dotted path of the field that holds the address; empty if none does. */
  readonly field: string;
  /** The fields that exist and hold something else, in the order tried. */
  readonly passedOver: readonly string[];
  /** The reason for a missing address, for people; empty if there is an address. */
  readonly addressTrouble: string;
}

export type WazuhProblem =
  | 'Cannot read input from stdin'
  | 'Invalid input format'
  | "Cannot read 'command' from json"
  | "Invalid value of 'command'"
  | "Cannot read 'srcip' from data"
  | "Cannot read 'source.ip' from data";

/** BAD_DATA for a message, HANDSHAKE for an answer. */
type Code = 'BAD_DATA' | 'HANDSHAKE';

export class ProtocolError extends AppError {
  readonly problem: WazuhProblem;

  constructor(code: Code, problem: WazuhProblem, message: string, cause?: unknown) {
    super(code, message, cause);
    this.problem = problem;
  }
}

/** Returns null for an error that Wazuh's own program has no text for. */
export function problemOf(error: unknown): WazuhProblem | null {
  return error instanceof ProtocolError ? error.problem : null;
}

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

/** Parses `add|delete USER IP ALERT_ID RULE_ID [LOCATION FILE]`. Throws `BAD_DATA` if the first argument is neither. */
export function readArguments(args: readonly string[]): Request {
  const [action, , ip = '', alertId, ruleId] = args;
  if (action !== 'add' && action !== 'delete') {
    throw new AppError('BAD_DATA', 'the first argument is neither add nor delete');
  }
  const address = parseAddress(ip);
  return {
    dialect: 'ossec',
    action: action === 'add' ? 'block' : 'unblock',
    address,
    addressTrouble: address === null ? 'the third argument is not a literal address' : '',
    addressProblem: "Cannot read 'srcip' from data",
    field: 'the third argument',
    passedOver: [],
    alertId: readAlertId(alertId),
    ruleId: readRuleId(ruleId),
    timeoutSeconds: undefined,
    reason: '',
    extraArguments: [],
    facts: { ruleId: readRuleId(ruleId), level: null, groups: [], agent: null, field: () => null },
  };
}

/** Parses a line of execd's as a JSON object. `what` names the line in errors. */
export function readObject(text: string, code: Code, what: string): JsonObject {
  let value: Json;
  try {
    value = parseJson(text);
  } catch (error) {
    throw new ProtocolError(code, 'Invalid input format', `${what} is not JSON`, error);
  }
  if (isObject(value)) return value;
  throw new ProtocolError(code, 'Invalid input format', `${what} is not a JSON object`);
}

export function wrongCommand(command: unknown, code: Code, message: string): ProtocolError {
  const isText = typeof command === 'string';
  const problem = isText ? "Invalid value of 'command'" : "Cannot read 'command' from json";
  return new ProtocolError(code, problem, message);
}

/**
 * Skips fields that hold a host name or `-`. Free text such as `full_log` is never searched, because an attacker who
 * can write to a log could then have any address blocked.
 */
export function findSource(alert: Json | undefined, fields: readonly string[]): Source {
  const passedOver: string[] = [];
  for (const field of fields) {
    const value = at(alert, ...field.split('.'));
    const address = typeof value === 'string' ? parseAddress(value) : null;
    if (address !== null) return { address, field, passedOver, addressTrouble: '' };
    if (value !== undefined) passedOver.push(field);
  }
  const addressTrouble =
    passedOver.length > 0
      ? `no literal address in ${passedOver.join(', ')}`
      : `the alert has none of the fields ${fields.join(', ')}`;
  return { address: null, field: '', passedOver, addressTrouble };
}

const ALERT_ID = /^[0-9]{1,20}\.[0-9]{1,20}$/;
const RULE_ID = /^[0-9]{1,10}$/;
const LONGEST_REASON = 200;

export function readAlertId(text: string | undefined): string | null {
  return text !== undefined && ALERT_ID.test(text) ? text : null;
}

export function readRuleId(text: string | undefined): string | null {
  return text !== undefined && RULE_ID.test(text) ? text : null;
}

/** Makes free text of an alert short and printable, so that it fits a table. */
export function readReason(text: string | undefined): string {
  return printable((text ?? '').slice(0, LONGEST_REASON));
}
