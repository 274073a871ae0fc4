// Numbers of things: in words, and as options.
import { AppError } from '../../model/errors.ts';
import { quote } from '../../system/printable.ts';

/** `1 error`, `2 errors`, `2 addresses`. */
export function count(number: number, what: string, many = `${what}s`): string {
  return `${number} ${number === 1 ? what : many}`;
}

/** What `--limit` was given. Throws `USAGE` for what is no number. */
export function readLimit(text: string | undefined): number {
  if (text === undefined) return Number.MAX_SAFE_INTEGER;
  if (/^[1-9][0-9]{0,8}$/.test(text)) return Number(text);
  throw new AppError('USAGE', `--limit ${quote(text)} is not a number above 0`);
}
