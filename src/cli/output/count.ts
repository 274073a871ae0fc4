// Formats a number with its noun.

/** Returns `1 error`, `2 errors`, `2 addresses`. */
export function count(number: number, what: string, many = `${what}s`): string {
  return `${number} ${number === 1 ? what : many}`;
}
