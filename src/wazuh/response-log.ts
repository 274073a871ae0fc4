// active-responses.log: the lines that Wazuh's and OSSEC's rules read, and how they get into the file.
import { closeSync, lstatSync } from 'node:fs';
import type { LogMark } from '../state/store.ts';
import type { Outcome } from '../model/ban.ts';
import { appendLine, openLogForAppend, openLogForRead, readFrom } from '../system/files.ts';
import { printable } from '../system/printable.ts';
import { formatDate, formatWazuhDate, type Zone } from '../system/zone.ts';
import { at, parseJson, type Json } from './json.ts';

export interface LogFormat {
  readonly kind: 'ossec' | 'wazuh' | 'both';
  /** The agent's home, an absolute path. */
  readonly home: string;
  /** The executable's name as Wazuh knows it. */
  readonly name: string;
  /** The name in lines of the OSSEC format: ends in `.sh` unless configured otherwise, because OSSEC's decoder wants it. */
  readonly programName: string;
  readonly zone: Zone;
}

/** What was said at the Wazuh door, for the format that repeats it. */
export interface Conversation {
  readonly message: Json;
  /** Empty and null where there was no key exchange. */
  readonly keyLine: string;
  readonly answer: Json;
}

/** `DATE PATH VERB - ADDRESS ALERT_ID RULE_ID`: rules 601 and 602 for add and delete, Wazuh's 607 for other verbs. */
export function ossecLine(outcome: Outcome, format: LogFormat, nowMs: number): string {
  return `${formatDate(format.zone, nowMs)} ${ossecSuffix(outcome, format)}\n`;
}

function pathOf({ home, programName }: LogFormat): string {
  return printable(`${home}/active-response/bin/${programName}`);
}

function ossecSuffix({ verb, address, alertRef }: Outcome, format: LogFormat): string {
  return `${pathOf(format)} ${verb} - ${address.text} ${alertRef.alertId} ${alertRef.ruleId}`;
}

/** For a message without a usable address: there is nothing to name but the refusal. */
export function refusalLine(
  format: LogFormat,
  alertRef: Outcome['alertRef'],
  nowMs: number,
): string {
  const { alertId, ruleId } = alertRef;
  return `${formatDate(format.zone, nowMs)} ${pathOf(format)} refused - - ${alertId} ${ruleId}\n`;
}

/**
 * Wazuh 4's own lines. The one with the message fires rule 651 or 652, so it is written only for what the kernel was
 * seen to do; other verbs get a line of words, which no rule takes for a block.
 */
export function wazuhLines(
  outcome: Outcome,
  conversation: Conversation | null,
  format: LogFormat,
  nowMs: number,
): string[] {
  const program = `active-response/bin/${format.name}`;
  const line = (text: string): string => {
    return `${formatWazuhDate(format.zone, nowMs)} ${program}: ${printable(text)}\n`;
  };
  const { verb, address, alertRef } = outcome;
  if (verb !== 'add' && verb !== 'delete') {
    return [line(`${verb} ${address.text} ${alertRef.alertId} ${alertRef.ruleId}`)];
  }
  const { keyLine, answer } = conversation ?? { keyLine: '', answer: null };
  // Rules find nothing in a message of Wazuh 5, nor do we find one again that has the address in another notation.
  const received = conversation?.message ?? null;
  const message = isAbout(received, outcome) ? received : messageOf(outcome, program);
  const exchange = answer === null ? [] : [keyLine, JSON.stringify(answer)];
  return ['Starting', JSON.stringify(message), ...exchange, 'Ended'].map(line);
}

/** Where the decoder looks for the address: wherever in the line this comes first, which an alert's fields may arrange. */
const DECODED_SOURCE = /"data":\{"srcip":"([^"]*)"/g;

/** Whether a message is one of an outcome, and the alert that its line raises names no other address. */
function isAbout(message: Json, { verb, address, alertRef }: Outcome): boolean {
  const alert = at(message, 'parameters', 'alert');
  if (at(message, 'command') !== verb || at(alert, 'id') !== alertRef.alertId) return false;
  const text = JSON.stringify(message);
  const named = [...text.matchAll(DECODED_SOURCE)].map(([, source]) => source);
  return text.includes(`"${address.text}"`) && named.every((source) => source === address.text);
}

/** The message that execd would have sent for this outcome; `srcip` is first in `data`, where the decoder looks. */
function messageOf({ verb, address, alertRef }: Outcome, program: string): Json {
  return {
    version: 1,
    origin: { name: 'firewall-drop', module: 'active-response' },
    command: verb,
    parameters: {
      extra_args: [],
      alert: {
        rule: { id: alertRef.ruleId },
        id: alertRef.alertId,
        data: { srcip: address.text },
      },
      program,
    },
  };
}

/** How far back a line is looked for when the log was replaced since the mark was made. */
const TAIL_BYTES = 65536;

/** The file itself; each method opens it anew, because the agent may have rotated it. */
export class ResponseLog {
  readonly path: string;

  constructor(home: string) {
    this.path = `${home}/logs/active-responses.log`;
  }

  /** Throws what the system says, or that the file is not one to write to. */
  append(lines: readonly string[]): void {
    const descriptor = openLogForAppend(this.path);
    try {
      appendLine(descriptor, lines.join(''));
    } finally {
      closeSync(descriptor);
    }
  }

  mark(): LogMark | null {
    try {
      const stats = lstatSync(this.path);
      return stats.isFile() ? { inode: stats.ino, size: stats.size } : null;
    } catch {
      // Not there yet, or out of reach: then no line of ours is there either.
      return null;
    }
  }

  /** What was written after a mark, or the log's last part when it is another file by now; line by line. */
  *linesSince(mark: LogMark | null): Generator<string> {
    const now = this.mark();
    if (now === null) return;
    const same = mark !== null && mark.inode === now.inode && mark.size <= now.size;
    const from = same ? mark.size : Math.max(0, now.size - TAIL_BYTES);
    const descriptor = openLogForRead(this.path);
    try {
      yield* linesOf(descriptor, from, Math.min(now.size, from + MOST_SEARCHED_BYTES));
    } finally {
      closeSync(descriptor);
    }
  }
}

/** The lines of a hundred thousand blocks, in both formats, and more; somebody else may have written any number. */
const MOST_SEARCHED_BYTES = 256 * 1024 * 1024;
const CHUNK_BYTES = 1024 * 1024;
/** A message is shorter; of what is longer only the end is looked at, as if a line began there. */
const LONGEST_LINE = 1024 * 1024;

function* linesOf(descriptor: number, from: number, to: number): Generator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for (let at = from; at < to; at += CHUNK_BYTES) {
    const chunk = readFrom(descriptor, at, Math.min(CHUNK_BYTES, to - at));
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > LONGEST_LINE) rest = '';
    yield* lines;
  }
  if (rest !== '') yield rest;
}

/** Those of `outcomes` that no line of a log tells, in either format. */
export function untoldIn(
  lines: Iterable<string>,
  outcomes: readonly Outcome[],
  format: LogFormat,
): Outcome[] {
  const untold = new Set(outcomes);
  const bySuffix = Map.groupBy(outcomes, (outcome) => ossecSuffix(outcome, format));
  const byAlert = Map.groupBy(outcomes, ({ verb, alertRef }) => `${verb} ${alertRef.alertId}`);
  const byAddress = Map.groupBy(outcomes, ({ address }) => address.text);
  const path = `${pathOf(format)} `;
  for (const line of lines) {
    if (untold.size === 0) break;
    const told = bySuffix.get(line.slice(line.lastIndexOf(path))) ?? [];
    for (const outcome of told) untold.delete(outcome);
    const message = messageIn(line);
    const alert = at(message, 'parameters', 'alert');
    const ofAlert = byAlert.get(`${textOf(at(message, 'command'))} ${textOf(at(alert, 'id'))}`);
    if (ofAlert === undefined) continue;
    // A list has one alert's id for all: where the message names its address as we print it, only that one is meant.
    const named = byAddress.get(textOf(at(alert, 'data', 'srcip'))) ?? ofAlert;
    for (const outcome of named) if (isAbout(message, outcome)) untold.delete(outcome);
  }
  return [...untold];
}

function textOf(value: Json | undefined): string {
  return typeof value === 'string' ? value : '';
}

function messageIn(line: string): Json {
  const start = line.indexOf(': {');
  try {
    return start < 0 ? null : parseJson(line.slice(start + 2));
  } catch {
    // Cut off by a full disk, or written by somebody else: it told nothing.
    return null;
  }
}
