// Host names to addresses, by the host's own resolver and with a bound.
import { parseAddress, type Address } from '../model/address.ts';
import type { Run } from './exec.ts';

/** With underscores, which names of containers have, and never with a dash in front. */
const HOST_NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,252}$/;

/** All addresses of a name as getent(1) finds them; null when it finds none, or not in time. */
export function lookUpHost(name: string, timeoutMs: number, run: Run): Address[] | null {
  if (!HOST_NAME.test(name)) return null;
  const command = { program: 'getent', args: ['ahosts', name], input: '' };
  const { status, stdout } = run(command, timeoutMs);
  if (status !== 0) return null;
  const addresses = stdout.split('\n').map((line) => parseAddress(line.split(' ', 1)[0] ?? ''));
  const unique = new Map(
    addresses.flatMap((found) => (found === null ? [] : [[found.text, found]])),
  );
  return [...unique.values()];
}
