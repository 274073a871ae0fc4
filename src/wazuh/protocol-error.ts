// The error for an unusable message or answer of execd, with the text that Wazuh's own program logs for it.
import { AppError } from '../model/errors.ts';
import { isObject, parseJson, type Json, type JsonObject } from './json.ts';

export type WazuhProblem =
  | 'Cannot read input from stdin'
  | 'Invalid input format'
  | "Cannot read 'command' from json"
  | "Invalid value of 'command'"
  | "Cannot read 'srcip' from data"
  | "Cannot read 'source.ip' from data";

/** BAD_DATA for a message, HANDSHAKE for an answer. */
type Code = 'BAD_DATA' | 'HANDSHAKE';

export class ProtocolError extends AppError {
  readonly problem: WazuhProblem;

  constructor(code: Code, problem: WazuhProblem, message: string, cause?: unknown) {
    super(code, message, cause);
    this.problem = problem;
  }
}

/** Returns null for an error that Wazuh's own program has no text for. */
export function problemOf(error: unknown): WazuhProblem | null {
  return error instanceof ProtocolError ? error.problem : null;
}

/** Parses a line of execd's as a JSON object. `what` names the line in errors. */
export function readObject(text: string, code: Code, what: string): JsonObject {
  let value: Json;
  try {
    value = parseJson(text);
  } catch (error) {
    throw new ProtocolError(code, 'Invalid input format', `${what} is not JSON`, error);
  }
  if (isObject(value)) return value;
  throw new ProtocolError(code, 'Invalid input format', `${what} is not a JSON object`);
}

export function wrongCommand(command: unknown, code: Code, message: string): ProtocolError {
  const isText = typeof command === 'string';
  const problem = isText ? "Invalid value of 'command'" : "Cannot read 'command' from json";
  return new ProtocolError(code, problem, message);
}
