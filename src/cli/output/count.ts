// Numbers of things: in words, and as options.
import { textOption } from '../command.ts';

/** `1 error`, `2 errors`, `2 addresses`. */
export function count(number: number, what: string, many = `${what}s`): string {
  return `${number} ${number === 1 ? what : many}`;
}

/** A number of lines or rows. */
export const NUMBER = textOption('NUMBER', {
  expected: 'a number above 0',
  read: (text) => (/^[1-9][0-9]{0,8}$/.test(text) ? Number(text) : undefined),
});
