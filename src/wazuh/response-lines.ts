// The text of the lines in active-responses.log, in OSSEC's format and in Wazuh's, and which of them a log already has. Pure.
import { parseAddress, type Address } from '../model/address.ts';
import type { Outcome, Verb } from '../model/ban.ts';
import { orElse } from '../model/errors.ts';
import { printable } from '../system/printable.ts';
import { formatDate, formatWazuhDate } from '../system/zone.ts';
import type { Zone } from '../system/zone-file.ts';
import type { Answer } from './check-keys.ts';
import { parseJson } from './json.ts';
import { readMessage, type AddressFields } from './message.ts';
import type { WazuhProblem } from './protocol-error.ts';

export interface LogFormat extends AddressFields {
  readonly kind: 'ossec' | 'wazuh' | 'both';
  readonly home: string;
  /** The executable's name as Wazuh knows it. */
  readonly name: string;
  /** The name in lines of the OSSEC format: ends in `.sh` unless configured otherwise, because OSSEC's decoder wants it. */
  readonly programName: string;
  readonly zone: Zone;
}

/** What execd and this program wrote to each other about one alert, word for word. */
export interface Exchange {
  /** What was read of execd's message, whole or not. */
  readonly message: string;
  /** Empty where no keys were sent. */
  readonly keyMessage: string;
  readonly answer: Answer | null;
}

/** An outcome, or a refusal of a message that names no address. */
export interface Entry extends Omit<Outcome, 'address'> {
  readonly address: Address | null;
  /** What Wazuh's own program says of it; null where it has no text for it. */
  readonly problem?: WazuhProblem | null;
}

/**
 * The lines of entries in the configured format, each with its line end. OSSEC's is `DATE PATH VERB - ADDRESS ALERT_ID RULE_ID`:
 * rules 601 and 602 for add and delete, Wazuh's 607 for other verbs.
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

/** What execd asks for where the kernel was seen to do it: only then may a line hold a message, which raises 651 or 652. */
const COMMANDS: Readonly<Partial<Record<Verb, 'add' | 'delete'>>> = {
  add: 'add',
  reapplied: 'add',
  delete: 'delete',
};

/** Lines as Wazuh's own program writes them: `Starting`, the messages as received, then how it ended. */
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

/** As a JSON string: a line with a message as an object would raise an alert for what was not done. */
function quoted(message: string): string[] {
  return message === '' ? [] : [JSON.stringify(message.slice(0, LONGEST_QUOTE))];
}

/**
 * Whether every reader finds the same in a text: of a key given twice some take the first and some the last, and a tab
 * between two values, made printable, is no JSON.
 */
function isUnambiguous(text: string): boolean {
  return orElse(false, () => {
    return JSON.stringify(JSON.parse(printable(text))) === JSON.stringify(parseJson(text));
  });
}

/** Where the decoder looks for the address: wherever in the line this comes first, which an alert's fields may arrange. */
const DECODED_SOURCE = /"data":\{"srcip":"([^"]*)"/g;

/** The message as received, unless the alert that it raises could name another address than the blocked one. */
function messageText(outcome: Outcome, exchange: Exchange | null, format: LogFormat): string {
  if (exchange === null || !isUnambiguous(exchange.message)) return ownMessage(outcome, format);
  const decoded = [...exchange.message.matchAll(DECODED_SOURCE)].map(([, source = '']) => source);
  const isTrue = decoded.every((source) => parseAddress(source)?.text === outcome.address.text);
  return isTrue ? exchange.message : ownMessage(outcome, format);
}

/** The message that execd would have sent for this outcome; `srcip` is first in `data`, where the decoder looks. */
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

/** Those of `outcomes` that no line of a log is about, in either format. */
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

/** What a line has after its date, in either format, where no message of execd is repeated. */
function ownTexts(outcome: Outcome, format: LogFormat): string[] {
  const isDone = COMMANDS[outcome.verb] !== undefined;
  return [ossecText(outcome, format), isDone ? ownMessage(outcome, format) : verbText(outcome)];
}

/** The outcomes that a repeated message of execd is about. A message of Wazuh 5, or one sent by hand, has no alert id. */
function messagesOf(
  text: string,
  byRequest: ReadonlyMap<string, readonly Outcome[]>,
  format: LogFormat,
): Outcome[] {
  // It may have been cut off by a full disk, or written by another program.
  const request = text.startsWith('{')
    ? orElse(null, () => readMessage(Buffer.from(text), format))
    : null;
  if (request === null) return [];
  const { action, address, alertId } = request;
  const command = action === 'block' ? 'add' : 'delete';
  const outcomes = byRequest.get(`${command} ${address?.text ?? ''}`) ?? [];
  return outcomes.filter(({ alertRef }) => alertId === null || alertId === alertRef.alertId);
}
