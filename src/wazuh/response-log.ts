// active-responses.log: the lines that Wazuh's and OSSEC's rules read, and how they get into the file.
import { closeSync, lstatSync } from 'node:fs';
import type { LogMark } from '../store/store.ts';
import type { Outcome } from '../ban/ban.ts';
import { appendLine, openLogForAppend, openLogForRead, readFrom } from '../os/files.ts';
import { printable } from '../os/printable.ts';
import { formatDate, formatWazuhDate, type Zone } from '../os/zone.ts';
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

function ossecSuffix(
  { verb, address, incident }: Outcome,
  { home, programName }: LogFormat,
): string {
  const path = printable(`${home}/active-response/bin/${programName}`);
  return `${path} ${verb} - ${address.text} ${incident.alertId} ${incident.ruleId}`;
}

/** For a message without a usable address: there is nothing to name but the refusal. */
export function refusalLine(
  format: LogFormat,
  incident: Outcome['incident'],
  nowMs: number,
): string {
  const path = printable(`${format.home}/active-response/bin/${format.programName}`);
  const { alertId, ruleId } = incident;
  return `${formatDate(format.zone, nowMs)} ${path} refused - - ${alertId} ${ruleId}\n`;
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
  const { verb, address, incident } = outcome;
  if (verb !== 'add' && verb !== 'delete') {
    return [line(`${verb} ${address.text} ${incident.alertId} ${incident.ruleId}`)];
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
function isAbout(message: Json, { verb, address, incident }: Outcome): boolean {
  const alert = at(message, 'parameters', 'alert');
  if (at(message, 'command') !== verb || at(alert, 'id') !== incident.alertId) return false;
  const text = JSON.stringify(message);
  const named = [...text.matchAll(DECODED_SOURCE)].map(([, source]) => source);
  return text.includes(`"${address.text}"`) && named.every((source) => source === address.text);
}

/** The message that execd would have sent for this outcome; `srcip` is first in `data`, where the decoder looks. */
function messageOf({ verb, address, incident }: Outcome, program: string): Json {
  return {
    version: 1,
    origin: { name: 'firewall-drop', module: 'active-response' },
    command: verb,
    parameters: {
      extra_args: [],
      alert: {
        rule: { id: incident.ruleId },
        id: incident.alertId,
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

  /** What was written after a mark, or the log's last part when it is another file by now. */
  textSince(mark: LogMark | null): string {
    const now = this.mark();
    if (now === null) return '';
    const same = mark !== null && mark.inode === now.inode && mark.size <= now.size;
    const from = same ? mark.size : Math.max(0, now.size - TAIL_BYTES);
    const descriptor = openLogForRead(this.path);
    try {
      return readFrom(descriptor, from, Math.min(now.size - from, MOST_SEARCHED_BYTES)).toString();
    } finally {
      closeSync(descriptor);
    }
  }
}

const MOST_SEARCHED_BYTES = 4 * 1024 * 1024;

/** Whether a text of the log has the line of an outcome, in either format. */
export function tells(text: string, outcome: Outcome, format: LogFormat): boolean {
  const suffix = ossecSuffix(outcome, format);
  return text.split('\n').some((line) => {
    if (line.endsWith(suffix)) return true;
    return line.includes(outcome.incident.alertId) && isAbout(messageIn(line), outcome);
  });
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
