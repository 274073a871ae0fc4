// Tells the response log what became of an address, in the configured format; trouble with the log stops nothing.
import type { Outcome } from '../model/ban.ts';
import type { ResponseLog as Lines } from '../bans/tools.ts';
import { AppError, describeError } from '../model/errors.ts';
import {
  ossecLine,
  refusalLine,
  ResponseLog,
  untoldIn,
  wazuhLines,
  type Conversation,
  type LogFormat,
} from './response-log.ts';

export interface AnnouncerOptions {
  /** Asked when the first line is written: it reads the zone file. */
  readonly format: () => LogFormat;
  readonly home: string;
  readonly now: () => number;
  readonly onTrouble: (error: AppError) => void;
}

export class LogAnnouncer implements Lines {
  readonly #options: AnnouncerOptions;
  readonly #log: ResponseLog;
  #conversation: { readonly about: string; readonly spoken: Conversation } | null = null;

  constructor(options: AnnouncerOptions) {
    this.#options = options;
    this.#log = new ResponseLog(options.home);
  }

  /** What was said at the door about an address; lines on others (expired, recovered) don't repeat it. */
  converse(outcome: Pick<Outcome, 'address' | 'alertRef'>, spoken: Conversation): void {
    // OSSEC gives arguments: there is no message to repeat.
    if (spoken.message === null) return;
    this.#conversation = { about: topicOf(outcome), spoken };
  }

  write(outcomes: readonly Outcome[]): void {
    const [first] = outcomes;
    if (first === undefined) return;
    const nowMs = this.#options.now();
    const more = outcomes.length > 1 ? ` and ${outcomes.length - 1} more` : '';
    this.#append(
      outcomes.flatMap((outcome) => this.#linesOf(outcome, nowMs)),
      `${first.verb} ${first.address.text}${more}`,
    );
  }

  #linesOf(outcome: Outcome, nowMs: number): string[] {
    const format = this.#options.format();
    const spoken = this.#spokenAbout(outcome);
    return [
      ...(format.kind === 'wazuh' ? [] : [ossecLine(outcome, format, nowMs)]),
      ...(format.kind === 'ossec' ? [] : wazuhLines(outcome, spoken, format, nowMs)),
    ];
  }

  /** For a message that names no address. */
  tellRefusal(alertRef: Outcome['alertRef']): void {
    const { format, now } = this.#options;
    this.#append([refusalLine(format(), alertRef, now())], 'refused');
  }

  offset(): ReturnType<ResponseLog['mark']> {
    return this.#log.mark();
  }

  missing(mark: ReturnType<ResponseLog['mark']>, outcomes: readonly Outcome[]): Outcome[] {
    try {
      return untoldIn(this.#log.linesSince(mark), outcomes, this.#options.format());
    } catch {
      // What can't be read can't be relied on: a line twice is better than none.
      return [...outcomes];
    }
  }

  #spokenAbout(outcome: Outcome): Conversation | null {
    return this.#conversation?.about === topicOf(outcome) ? this.#conversation.spoken : null;
  }

  #append(lines: readonly string[], what: string): void {
    try {
      this.#log.append(lines);
    } catch (error) {
      const message = `${this.#log.path}: the line "${what}" could not be written: ${describeError(error)}`;
      this.#options.onTrouble(new AppError('LOG', message, error));
    }
  }
}

function topicOf({ address, alertRef }: Pick<Outcome, 'address' | 'alertRef'>): string {
  return `${address.text} ${alertRef.alertId}`;
}
