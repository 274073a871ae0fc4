// The file active-responses.log: writes the lines of outcomes, and finds which of them a killed run had already written.
import { closeSync, lstatSync } from 'node:fs';
import type { ResponseLog } from '../bans/context.ts';
import type { Outcome } from '../model/ban.ts';
import { AppError, describeError, orElse } from '../model/errors.ts';
import type { LogOffset } from '../state/rows.ts';
import {
  appendLine,
  closing,
  openLogForAppend,
  openLogForRead,
  readFrom,
} from '../system/files.ts';
import { monotonicMs } from '../system/wait.ts';
import {
  linesOf,
  missingFrom,
  wazuhLines,
  type Entry,
  type Exchange,
  type LogFormat,
} from './response-lines.ts';

export interface ResponseLogOptions {
  /** Called when the first line is written: it reads the zone file. */
  readonly format: () => LogFormat;
  readonly home: string;
  readonly now: () => number;
  readonly onTrouble: (error: AppError) => void;
}

/** How far back a line is looked for when the log was replaced since the offset was taken. */
const TAIL_BYTES = 65536;
/** For all searches of a run: the agent's user may have written any amount, and execd waits. Past it a line comes twice. */
const MOST_SEARCHED_BYTES = 16 * 1024 * 1024;
const MOST_SEARCHED_MS = 1000;
const CHUNK_BYTES = 256 * 1024;
/** A message is shorter; of what is longer only the end is looked at, as if a line began there. */
const LONGEST_LINE = 1024 * 1024;

/** Opens the file anew each time, because the agent may have rotated it. A line that cannot be written stops nothing. */
export class ResponseLogFile implements ResponseLog {
  readonly path: string;
  readonly #options: ResponseLogOptions;
  readonly #exchange: Exchange | null;
  #unsearchedBytes = MOST_SEARCHED_BYTES;
  #unsearchedMs = MOST_SEARCHED_MS;

  constructor(options: ResponseLogOptions, exchange: Exchange | null = null) {
    this.path = `${options.home}/logs/active-responses.log`;
    this.#options = options;
    this.#exchange = exchange;
  }

  /** The same log for outcomes of one alert, whose lines in Wazuh's format repeat what was exchanged about it. */
  about(exchange: Exchange | null): ResponseLogFile {
    return new ResponseLogFile(this.#options, exchange);
  }

  write(entries: readonly Entry[]): void {
    if (entries.length === 0) return;
    const { format, now } = this.#options;
    this.#append(linesOf(entries, this.#exchange, format(), now()), entries);
  }

  /** Wazuh's own program logs what execd asks for; OSSEC's format has lines for changes alone. */
  writeUnchanged(outcome: Outcome): void {
    const format = this.#options.format();
    if (format.kind === 'ossec') return;
    this.#append(wazuhLines(outcome, this.#exchange, format, this.#options.now()), [outcome]);
  }

  offset(): LogOffset | null {
    // Where it is not there yet, or out of reach, no line of ours is there either.
    return orElse(null, () => {
      const stats = lstatSync(this.path);
      return stats.isFile() ? { inode: stats.ino, size: stats.size } : null;
    });
  }

  missing(offset: LogOffset | null, outcomes: readonly Outcome[]): Outcome[] {
    const startedMs = monotonicMs();
    try {
      return missingFrom(this.#linesSince(offset, startedMs), outcomes, this.#options.format());
    } catch {
      // What can't be read can't be relied on: a line twice is better than none.
      return [...outcomes];
    } finally {
      this.#unsearchedMs -= monotonicMs() - startedMs;
    }
  }

  #append(lines: readonly string[], entries: readonly Entry[]): void {
    try {
      const text = lines.join('');
      closing(openLogForAppend(this.path), (descriptor) => appendLine(descriptor, text));
    } catch (error) {
      const message = `${this.path}: the line "${nameOf(entries)}" could not be written: ${describeError(error)}`;
      this.#options.onTrouble(new AppError('LOG', message, error));
    }
  }

  /** What was written after an offset, or the log's last part when it is another file by now; line by line. */
  *#linesSince(offset: LogOffset | null, startedMs: number): Generator<string> {
    const end = this.offset();
    if (end === null) return;
    const isSame = offset !== null && offset.inode === end.inode && offset.size <= end.size;
    const from = isSame ? offset.size : Math.max(0, end.size - TAIL_BYTES);
    const descriptor = openLogForRead(this.path);
    const decoder = new TextDecoder();
    let rest = '';
    try {
      for (let at = from; at < end.size; at += CHUNK_BYTES) {
        const length = Math.min(CHUNK_BYTES, end.size - at, this.#unsearchedBytes);
        if (length === 0 || monotonicMs() - startedMs > this.#unsearchedMs) break;
        this.#unsearchedBytes -= length;
        const text = decoder.decode(readFrom(descriptor, at, length), { stream: true });
        const lines = (rest + text).split('\n');
        rest = lines.pop() ?? '';
        if (rest.length > LONGEST_LINE) rest = '';
        yield* lines;
      }
      if (rest !== '') yield rest;
    } finally {
      closeSync(descriptor);
    }
  }
}

function nameOf([first, ...more]: readonly Entry[]): string {
  if (first === undefined) return '';
  const name = first.address === null ? first.verb : `${first.verb} ${first.address.text}`;
  return more.length > 0 ? `${name} and ${more.length} more` : name;
}
