// Writes outcomes to active-responses.log, and finds the outcomes whose lines a killed run had already written.
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
  /** Returns the format. Called only if a line is written or searched for, because it reads the time zone file. */
  readonly format: () => LogFormat;
  readonly home: string;
  readonly now: () => number;
  readonly onTrouble: (error: AppError) => void;
}

/** How much of the end of the log is searched if the log was replaced after the offset was taken. */
const TAIL_BYTES = 65536;
/**
 * The limits for all searches of one run, because the agent's user can write any amount to the log while execd waits. A
 * line beyond them counts as missing and is written a second time.
 */
const MOST_SEARCHED_BYTES = 16 * 1024 * 1024;
const MOST_SEARCHED_MS = 1000;
const CHUNK_BYTES = 256 * 1024;
/** Longer than any line of ours. Only the end of a longer line is compared, as if the line started there. */
const LONGEST_LINE = 1024 * 1024;

/**
 * Opens the file for each write, because the agent can have rotated it. A failure to write is reported and does not
 * stop the run.
 */
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

  /** Returns the same log for the outcomes of one alert. Its lines in Wazuh's format repeat the exchange with execd. */
  about(exchange: Exchange | null): ResponseLogFile {
    return new ResponseLogFile(this.#options, exchange);
  }

  write(entries: readonly Entry[]): void {
    if (entries.length === 0) return;
    const { format, now } = this.#options;
    this.#append(linesOf(entries, this.#exchange, format(), now()), entries);
  }

  /** Logs a request that changed nothing, as Wazuh's own program does. OSSEC's format has lines only for changes. */
  writeUnchanged(outcome: Outcome): void {
    const format = this.#options.format();
    if (format.kind === 'ossec') return;
    this.#append(wazuhLines(outcome, this.#exchange, format, this.#options.now()), [outcome]);
  }

  offset(): LogOffset | null {
    // A file that does not exist or cannot be reached has no line of ours.
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
      // A second copy of a line is better than a missing line.
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

  /** Yields the lines after the offset, or those in the last part of the log if the log is another file now. */
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
