// Host names to addresses, by the host's own resolver and with a bound.
import { parseAddress, type Address } from '../model/address.ts';
import type { Run } from './exec.ts';

const HOST_NAME = /^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/;
const LOOK_UP_TIMEOUT_MS = 3000;

/** All addresses of a name as getent(1) finds them; null when it finds none, or not in time. */
export function lookUpHost(name: string, run: Run): Address[] | null {
  if (!HOST_NAME.test(name)) return null;
  const command = { program: 'getent', args: ['ahosts', name], input: '' };
  const { status, stdout } = run(command, LOOK_UP_TIMEOUT_MS);
  if (status !== 0) return null;
  const addresses = stdout.split('\n').map((line) => parseAddress(line.split(' ', 1)[0] ?? ''));
  const unique = new Map(
    addresses.flatMap((found) => (found === null ? [] : [[found.text, found]])),
  );
  return [...unique.values()];
}
