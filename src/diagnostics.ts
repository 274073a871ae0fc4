// Our own log, for the people who run us: JSON lines by pino, which is loaded at the first line that is to be written.
import { closeSync } from 'node:fs';
import type * as Pino from 'pino';
import { appendLine, openLogForAppend } from './system/files.ts';
import { printable } from './system/printable.ts';

/** From the least serious on, as the configuration has them. */
const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
type Level = (typeof LEVELS)[number];

/** Never throws: a failure of our own log stops nothing. */
export class Diagnostics {
  /** Less serious messages are not written. As configured, once the configuration was read. */
  level: Level = 'warn';
  readonly #path: string;
  readonly #program: string;
  #logger: Pino.Logger | null = null;
  #descriptor: number | null = null;
  /** One message of a kind is enough for a run. */
  readonly #written = new Set<string>();

  constructor(path: string, program: string) {
    this.#path = path;
    this.#program = program;
  }

  error(message: string): void {
    this.#write('error', message);
  }

  warn(message: string): void {
    this.#write('warn', message);
  }

  /** For a process that stays. The next message opens the log again. */
  close(): void {
    if (this.#descriptor !== null) closeSync(this.#descriptor);
    this.#descriptor = null;
    this.#logger = null;
  }

  #write(level: 'error' | 'warn', message: string): void {
    if (LEVELS.indexOf(level) < LEVELS.indexOf(this.level) || this.#written.has(message)) return;
    this.#written.add(message);
    try {
      this.#logger ??= this.#open();
      this.#logger[level](printable(message));
    } catch {
      // The log's file can't be written to, and there is no other place that we may write to unasked.
    }
  }

  #open(): Pino.Logger {
    const { pino } = require('pino') as typeof Pino;
    const descriptor = openLogForAppend(this.#path);
    this.#descriptor = descriptor;
    const sink = {
      write(line: string): void {
        appendLine(descriptor, line);
      },
    };
    const timestamp = (): string => `,"time":"${new Date().toISOString()}"`;
    return pino(
      { level: 'trace', base: { program: this.#program, pid: process.pid }, timestamp },
      sink,
    );
  }
}
