// Our own log for administrators: JSON lines written by pino, which is loaded for the first line.
import { closeSync } from 'node:fs';
import type * as Pino from 'pino';
import { appendLine, openLogForAppend } from './system/files.ts';
import { printable } from './system/printable.ts';

/** The levels of the configuration, from the least serious. */
const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
type Level = (typeof LEVELS)[number];

/** Writes our own log. Never throws: a failure must not stop the run. */
export class Diagnostics {
  /** The level below which messages are not written. It is the default until the configuration is read. */
  level: Level = 'warn';
  readonly #path: string;
  readonly #program: string;
  #logger: Pino.Logger | null = null;
  #descriptor: number | null = null;
  /** The messages already written. Each is written once per run. */
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

  /** Closes the log. The next message opens it again. Only a long-running process needs to call it. */
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
      // The log can't be written, and there is no other place to report it.
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
