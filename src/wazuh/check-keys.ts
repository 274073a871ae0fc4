// The key exchange: execd learns which address this is about, and says whether it already has it on its list.
import type { Address } from '../model/address.ts';
import { AppError } from '../model/errors.ts';
import type { LineReader } from '../system/stdin.ts';
import type { Deadline } from '../system/wait.ts';
import { at, parseJson, type Json } from './json.ts';

/** What execd answered. */
export interface Answer {
  readonly command: 'continue' | 'abort';
  /** The whole answer, for the log format that repeats it. */
  readonly spoken: Json;
}

export interface HandshakeStreams {
  readonly reader: LineReader;
  /** Writes to execd at once and whole, or throws at the deadline. */
  readonly write: (text: string, deadline: Deadline) => void;
  readonly deadline: Deadline;
}

/** The line that execd reads in one go; canonical text, so that one address in two notations is one key. */
export function keyMessage(programName: string, address: Address): string {
  return JSON.stringify({
    version: 1,
    origin: { name: programName, module: 'active-response' },
    command: 'check_keys',
    parameters: { keys: [address.text] },
  });
}

/** Throws `HANDSHAKE` when execd is gone, silent until the deadline, or says anything but continue or abort. */
export function exchangeKeys(keyLine: string, streams: HandshakeStreams): Answer {
  try {
    streams.write(`${keyLine}\n`, streams.deadline);
  } catch (error) {
    throw new AppError('HANDSHAKE', 'execd does not take the keys', error);
  }
  return readAnswer(readAnswerLine(streams));
}

function readAnswerLine({ reader, deadline }: HandshakeStreams): Buffer {
  let line: Buffer | null;
  try {
    line = reader.readLine(deadline);
  } catch (error) {
    throw new AppError('HANDSHAKE', 'the answer of execd could not be read', error);
  }
  if (line !== null) return line;
  const why =
    deadline.remainingMs() === 0 ? 'did not answer in time' : 'went away without an answer';
  throw new AppError('HANDSHAKE', `execd ${why}: nothing was blocked`);
}

function readAnswer(line: Buffer): Answer {
  let spoken: Json;
  try {
    spoken = parseJson(line.toString('utf8'));
  } catch (error) {
    throw new AppError('HANDSHAKE', 'the answer of execd is not JSON', error);
  }
  const command = at(spoken, 'command');
  if (command === 'continue' || command === 'abort') return { command, spoken };
  throw new AppError('HANDSHAKE', 'the answer of execd is neither continue nor abort');
}
