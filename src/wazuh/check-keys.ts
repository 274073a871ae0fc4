// Reads the message of execd, and does the key exchange: sends execd the address of an alert and reads whether execd
// already has it on its timeout list.
import type { Address } from '../model/address.ts';
import type { LineReader } from '../system/stdin.ts';
import type { Deadline } from '../system/wait.ts';
import { at } from './json.ts';
import { ProtocolError, readObject, wrongCommand, type WazuhProblem } from './request.ts';

export interface Answer {
  readonly command: 'continue' | 'abort';
  /** The line as received. */
  readonly text: string;
}

export interface ExchangeStreams {
  readonly reader: Pick<LineReader, 'readLine'>;
  /** Writes the whole text to execd immediately. Throws if the deadline passes first. */
  readonly write: (text: string, deadline: Deadline) => void;
  readonly deadline: Deadline;
}

/** Returns the line of a message. Throws `BAD_DATA` if no whole line arrives before the deadline. */
export function readFirstLine(reader: LineReader, deadline: Deadline): Buffer {
  let line: Buffer | null;
  try {
    line = reader.readLine(deadline);
  } catch (error) {
    throw noMessage('the message could not be read', error);
  }
  if (line !== null) return line;
  if (deadline.remainingMs() === 0) throw noMessage('no complete message arrived in time');
  // The last line of the input can lack its newline.
  if (reader.rest().length > 0) return reader.rest();
  throw noMessage('the input ended before a complete message arrived');
}

function noMessage(message: string, cause?: unknown): ProtocolError {
  return new ProtocolError('BAD_DATA', 'Cannot read input from stdin', message, cause);
}

/**
 * Returns the line that execd reads with one read call. The key is the canonical text of the address, so that two
 * notations of one address give the same key.
 */
export function keyMessageFor(programName: string, address: Address): string {
  return JSON.stringify({
    version: 1,
    origin: { name: programName, module: 'active-response' },
    command: 'check_keys',
    parameters: { keys: [address.text] },
  });
}

/**
 * Throws `HANDSHAKE` if execd exits, does not answer before the deadline, or answers anything but continue or abort.
 */
export function exchangeKeys(keyMessage: string, streams: ExchangeStreams): Answer {
  try {
    streams.write(`${keyMessage}\n`, streams.deadline);
  } catch (error) {
    throw failed('Cannot read input from stdin', 'the keys could not be sent to execd', error);
  }
  const text = readAnswerLine(streams).toString('utf8');
  return { command: readCommand(text), text };
}

function failed(problem: WazuhProblem, message: string, cause?: unknown): ProtocolError {
  return new ProtocolError('HANDSHAKE', problem, message, cause);
}

function readAnswerLine({ reader, deadline }: ExchangeStreams): Buffer {
  let line: Buffer | null;
  try {
    line = reader.readLine(deadline);
  } catch (error) {
    throw failed('Invalid input format', "execd's answer could not be read", error);
  }
  if (line !== null) return line;
  const why = deadline.remainingMs() === 0 ? 'did not answer in time' : 'exited without an answer';
  throw failed('Cannot read input from stdin', `execd ${why}; nothing was blocked`);
}

function readCommand(text: string): Answer['command'] {
  const command = at(readObject(text, 'HANDSHAKE', "execd's answer"), 'command');
  if (command === 'continue' || command === 'abort') return command;
  const wanted = "execd's answer is neither continue nor abort";
  throw wrongCommand(command, 'HANDSHAKE', wanted);
}
