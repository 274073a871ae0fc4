// Decides what a person can block: no protected addresses, and no networks as wide as a whole provider.
import type { Context } from '../context.ts';
import { contains, type Address } from '../model/address.ts';
import { alertRefAt, type Outcome } from '../model/ban.ts';
import {
  describeProtection,
  entriesFrom,
  findProtection,
  type ProtectedEntry,
} from '../policy/protected.ts';
import type { Person } from './session.ts';

/** The shortest prefix lengths, in bits, that can be blocked without --force. */
const WIDEST_PREFIX = { 4: 16, 6: 32 } as const;

/**
 * Returns the addresses that can be blocked. For each of the others, prints the reason and whether --force would block
 * it. Refusals are logged unless this is a dry run.
 */
export function filterAllowed(
  addresses: readonly Address[],
  { force, isForReal }: { readonly force: boolean; readonly isForReal: boolean },
  context: Context,
  person: Person,
): Address[] {
  const entries = protectedFrom(force, context, person);
  return addresses.filter((address) => {
    const protection = findProtection(address, entries);
    if (protection === null) return isNarrowEnough(address, force, person);
    const reason = describeProtection(protection);
    const way = protection.always ? 'even --force does not block it' : '--force blocks it anyway';
    const is = contains(protection.network, address)
      ? 'is protected'
      : 'contains a protected address';
    person.complain(`${address.text} ${is} (${reason}); ${way}`);
    if (isForReal) recordRefusal(address, reason, context, person);
    return false;
  });
}

/**
 * Builds the list once per command: there can be a hundred thousand addresses to check against thousands of entries.
 */
function protectedFrom(
  force: boolean,
  context: Context,
  person: Person,
): readonly ProtectedEntry[] {
  const own = person.loggedInFrom === null ? [] : [person.loggedInFrom];
  const ownEntries = entriesFrom(own, 'the address that you are logged in from');
  const entries = [...context.protectedEntries(), ...ownEntries];
  return force ? entries.filter(({ always }) => always) : entries;
}

function isNarrowEnough(address: Address, force: boolean, { complain }: Person): boolean {
  const widest = WIDEST_PREFIX[address.family];
  if (force || address.prefixLength >= widest) return true;
  complain(`${address.text} is wider than /${widest}; --force blocks it anyway`);
  return false;
}

function recordRefusal(address: Address, reason: string, context: Context, { name }: Person): void {
  const outcome: Outcome = { verb: 'refused', address, alertRef: alertRefAt(context.now()) };
  context.responseLog.write([outcome]);
  context.store.history.record([
    { atMs: context.now(), outcome, origin: 'manual', reason, by: name },
  ]);
}
