// Formats the lines of active-responses.log in OSSEC's and Wazuh's format, and finds outcomes without a line. Pure.
import { parseAddress, type Address } from '../model/address.ts';
import type { Outcome, Verb } from '../model/ban.ts';
import { orElse } from '../model/errors.ts';
import { printable } from '../system/printable.ts';
import { formatDate, formatWazuhDate, type Zone } from '../system/zone.ts';
import type { Answer } from './check-keys.ts';
import { parseJson } from './json.ts';
import { readMessage, type AddressFields, type WazuhProblem } from './request.ts';

export interface LogFormat extends AddressFields {
  readonly kind: 'ossec' | 'wazuh' | 'both';
  readonly home: string;
  /** The name of the executable in Wazuh's configuration. */
  readonly name: string;
  /** The name in lines of OSSEC's format. It ends in `.sh` by default, because OSSEC's decoder requires that. */
  readonly programName: string;
  readonly zone: Zone;
}

/** The texts that execd and this program sent each other about one alert, unchanged. */
export interface Exchange {
  /** The part of execd's message that was read, complete or not. */
  readonly message: string;
  /** Empty if no keys were sent. */
  readonly keyMessage: string;
  readonly answer: Answer | null;
}

/** An outcome, or the refusal of a message without an address. */
export interface Entry extends Omit<Outcome, 'address'> {
  readonly address: Address | null;
  /** The text that Wazuh's own program logs for this failure; null if it has none. */
  readonly problem?: WazuhProblem | null;
}

/**
 * Returns the lines of the entries in the configured format, each with its newline. OSSEC's format is `DATE PATH VERB -
 * ADDRESS ALERT_ID RULE_ID`. Its lines raise rule 601 for add, 602 for delete, and Wazuh's 607 for other verbs.
 */
export function linesOf(
  entries: readonly Entry[],
  exchange: Exchange | null,
  format: LogFormat,
  nowMs: number,
): string[] {
  const date = formatDate(format.zone, nowMs);
  return entries.flatMap((entry) => [
    ...(format.kind === 'wazuh' ? [] : [`${date} ${ossecText(entry, format)}\n`]),
    ...(format.kind === 'ossec' ? [] : wazuhLines(entry, exchange, format, nowMs)),
  ]);
}

function pathOf({ home, programName }: LogFormat): string {
  return printable(`${home}/active-response/bin/${programName}`);
}

function ossecText({ verb, address, alertRef }: Entry, format: LogFormat): string {
  const { alertId, ruleId } = alertRef;
  return `${pathOf(format)} ${verb} - ${address?.text ?? '-'} ${alertId} ${ruleId}`;
}

/**
 * The command in execd's message for each verb that was verified in the kernel. Only their lines contain a message,
 * which raises rule 651 or 652.
 */
const COMMANDS: Readonly<Partial<Record<Verb, 'add' | 'delete'>>> = {
  add: 'add',
  reapplied: 'add',
  delete: 'delete',
};

/** Returns the lines that Wazuh's own program writes: `Starting`, the messages as received, then the result. */
export function wazuhLines(
  entry: Entry,
  exchange: Exchange | null,
  format: LogFormat,
  nowMs: number,
): string[] {
  const prefix = `${formatWazuhDate(format.zone, nowMs)} ${programOf(format)}: `;
  return wazuhTexts(entry, exchange, format).map((text) => `${prefix}${printable(text)}\n`);
}

function programOf({ name }: LogFormat): string {
  return `active-response/bin/${name}`;
}

function wazuhTexts(entry: Entry, exchange: Exchange | null, format: LogFormat): string[] {
  const { verb, address } = entry;
  const keys = exchange === null ? [] : keyTexts(exchange);
  if (address !== null && COMMANDS[verb] !== undefined) {
    const message = messageText({ ...entry, address }, exchange, format);
    const isAborted = exchange?.answer?.command === 'abort';
    return ['Starting', message, ...keys, isAborted ? 'Aborted' : 'Ended'];
  }
  const what = entry.problem ?? verbText(entry);
  if (exchange === null) return [what];
  const ended = verb === 'kept' ? ['Ended'] : [];
  return ['Starting', ...quoted(exchange.message), ...keys, what, ...ended];
}

function verbText({ verb, address, alertRef }: Entry): string {
  return `${verb} ${address?.text ?? '-'} ${alertRef.alertId} ${alertRef.ruleId}`;
}

function keyTexts({ keyMessage, answer }: Exchange): string[] {
  if (keyMessage === '') return [];
  if (answer === null) return [keyMessage];
  const { text } = answer;
  return [keyMessage, isUnambiguous(text) ? text : JSON.stringify(parseJson(text))];
}

const LONGEST_QUOTE = 4096;

/** Quotes a message as a JSON string. A line with the message itself would raise an alert for a change that failed. */
function quoted(message: string): string[] {
  return message === '' ? [] : [JSON.stringify(message.slice(0, LONGEST_QUOTE))];
}

/**
 * Reports whether every JSON parser reads the text in the same way. Of a repeated key, some parsers use the first value
 * and others the last. A text with a tab between two values is no longer JSON after it was made printable.
 */
function isUnambiguous(text: string): boolean {
  return orElse(false, () => {
    return JSON.stringify(JSON.parse(printable(text))) === JSON.stringify(parseJson(text));
  });
}

/** The text that Wazuh's decoder looks for to find the address. It can also occur in other fields of the alert. */
const DECODED_SOURCE = /"data":\{"srcip":"([^"]*)"/g;

/** Returns the message as received, or our own if the received one could raise an alert that names another address. */
function messageText(outcome: Outcome, exchange: Exchange | null, format: LogFormat): string {
  if (exchange === null || !isUnambiguous(exchange.message)) return ownMessage(outcome, format);
  const decoded = [...exchange.message.matchAll(DECODED_SOURCE)].map(([, source = '']) => source);
  const isTrue = decoded.every((source) => parseAddress(source)?.text === outcome.address.text);
  return isTrue ? exchange.message : ownMessage(outcome, format);
}

/**
 * Returns the message that execd would have sent for this outcome. `srcip` comes first in `data` for Wazuh's decoder.
 */
function ownMessage({ verb, address, alertRef }: Outcome, format: LogFormat): string {
  return JSON.stringify({
    version: 1,
    origin: { name: 'firewall-drop', module: 'active-response' },
    command: COMMANDS[verb],
    parameters: {
      extra_args: [],
      alert: {
        rule: { id: alertRef.ruleId },
        id: alertRef.alertId,
        data: { srcip: address.text },
      },
      program: programOf(format),
    },
  });
}

/** Returns the outcomes that none of the lines reports, in either format. */
export function missingFrom(
  lines: Iterable<string>,
  outcomes: readonly Outcome[],
  format: LogFormat,
): Outcome[] {
  const missing = new Set(outcomes);
  const byText = new Map(
    outcomes.flatMap((outcome) => ownTexts(outcome, format).map((text) => [text, outcome])),
  );
  const byRequest = Map.groupBy(outcomes, ({ verb, address }) => {
    return `${COMMANDS[verb] ?? ''} ${address.text}`;
  });
  const path = `${pathOf(format)} `;
  for (const line of lines) {
    if (missing.size === 0) break;
    const text = line.slice(line.indexOf(': ') + 2);
    const own = byText.get(line.slice(line.lastIndexOf(path))) ?? byText.get(text);
    if (own !== undefined) missing.delete(own);
    else for (const outcome of messagesOf(text, byRequest, format)) missing.delete(outcome);
  }
  return [...missing];
}

/** Returns the texts after the date in a line of each format, for lines that do not repeat a message of execd. */
function ownTexts(outcome: Outcome, format: LogFormat): string[] {
  const isDone = COMMANDS[outcome.verb] !== undefined;
  return [ossecText(outcome, format), isDone ? ownMessage(outcome, format) : verbText(outcome)];
}

/** Returns the outcomes that a repeated message of execd reports. One of Wazuh 5 or sent by hand has no alert id. */
function messagesOf(
  text: string,
  byRequest: ReadonlyMap<string, readonly Outcome[]>,
  format: LogFormat,
): Outcome[] {
  // A full disk can have cut the line off, or another program can have written it.
  const request = text.startsWith('{')
    ? orElse(null, () => readMessage(Buffer.from(text), format))
    : null;
  if (request === null) return [];
  const { action, address, alertId } = request;
  const command = action === 'block' ? 'add' : 'delete';
  const outcomes = byRequest.get(`${command} ${address?.text ?? ''}`) ?? [];
  return outcomes.filter(({ alertRef }) => alertId === null || alertId === alertRef.alertId);
}
