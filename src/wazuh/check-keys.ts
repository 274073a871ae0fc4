// The key exchange: sends execd the address of an alert, and reads whether execd already has it on its list.
import type { Address } from '../model/address.ts';
import type { LineReader } from '../system/stdin.ts';
import type { Deadline } from '../system/wait.ts';
import { at } from './json.ts';
import { ProtocolError, readObject, wrongCommand, type WazuhProblem } from './protocol-error.ts';

export interface Answer {
  readonly command: 'continue' | 'abort';
  /** The line as received. */
  readonly text: string;
}

export interface ExchangeStreams {
  readonly reader: Pick<LineReader, 'readLine'>;
  /** Writes to execd at once and whole, or throws at the deadline. */
  readonly write: (text: string, deadline: Deadline) => void;
  readonly deadline: Deadline;
}

/** The line that execd reads in one go; canonical text, so that one address in two notations is one key. */
export function keyMessageFor(programName: string, address: Address): string {
  return JSON.stringify({
    version: 1,
    origin: { name: programName, module: 'active-response' },
    command: 'check_keys',
    parameters: { keys: [address.text] },
  });
}

/** Throws `HANDSHAKE` when execd is gone, silent until the deadline, or answers anything but continue or abort. */
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
    throw failed('Invalid input format', 'the answer of execd could not be read', error);
  }
  if (line !== null) return line;
  const why = deadline.remainingMs() === 0 ? 'did not answer in time' : 'exited without an answer';
  throw failed('Cannot read input from stdin', `execd ${why}: nothing was blocked`);
}

function readCommand(text: string): Answer['command'] {
  const command = at(readObject(text, 'HANDSHAKE', 'the answer of execd'), 'command');
  if (command === 'continue' || command === 'abort') return command;
  const wanted = 'the answer of execd is neither continue nor abort';
  throw wrongCommand(command, 'HANDSHAKE', wanted);
}
