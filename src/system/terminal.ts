// Distinguishes a terminal from a pipe without the runtime's module for terminals, which loads streams and sockets.
import { fstatSync } from 'node:fs';
import type * as Tty from 'node:tty';

/** The device number of /dev/null, 1:3. */
export const NULL_DEVICE = 0x103;

export function isTerminal(descriptor: number): boolean {
  const stats = fstatSync(descriptor);
  if (!stats.isCharacterDevice() || stats.rdev === NULL_DEVICE) return false;
  const { isatty } = require('node:tty') as typeof Tty;
  return isatty(descriptor);
}
