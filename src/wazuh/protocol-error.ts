// A message or an answer of execd that cannot be used: the reason for people, and the text that Wazuh's own program logs.
import { AppError } from '../model/errors.ts';

export type WazuhProblem =
  | 'Cannot read input from stdin'
  | 'Invalid input format'
  | "Cannot read 'command' from json"
  | "Invalid value of 'command'"
  | "Cannot read 'srcip' from data"
  | "Cannot read 'source.ip' from data";

export class ProtocolError extends AppError {
  readonly problem: WazuhProblem;

  constructor(
    code: 'BAD_DATA' | 'HANDSHAKE',
    problem: WazuhProblem,
    message: string,
    cause?: unknown,
  ) {
    super(code, message, cause);
    this.problem = problem;
  }
}

/** Null for an error that Wazuh's own program has no text for. */
export function problemOf(error: unknown): WazuhProblem | null {
  return error instanceof ProtocolError ? error.problem : null;
}
