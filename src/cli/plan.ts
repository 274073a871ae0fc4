// Prints the commands that a block or an unblock would run, planned against the real state and kernel, for `--dry-run`
// and `explain`.
import type { Address } from '../model/address.ts';
import { livingHolds, remainingSeconds, type Ban, type Hold, type Origin } from '../model/ban.ts';
import type { Context } from '../context.ts';
import type { Firewall } from '../firewall/apply.ts';
import { planCut } from '../firewall/conntrack.ts';
import type { Command } from '../system/exec.ts';
import { inspectBackend } from './backend-state.ts';
import type { Person } from './session.ts';

export function printBlock(
  addresses: readonly Address[],
  holdFor: (before: Ban | null) => Hold,
  context: Context,
  person: Person,
): void {
  const nowMs = context.now();
  const known = context.store.bans.findAll(addresses);
  const changes = addresses.map((address) => {
    const ban = known.get(address.text) ?? null;
    const hold = holdFor(ban);
    const others = livingHolds(ban).filter(({ origin }) => origin !== hold.origin);
    const timeoutSeconds = remainingSeconds([...others, hold], nowMs);
    return { address, to: 'blocked' as const, timeoutSeconds };
  });
  const firewall = firewallFor(addresses.length, context, person);
  const cuts = context.config.firewall.killConnections ? planCut(addresses) : [];
  printSteps([...firewall.plan(changes), ...cuts], person);
}

/** Prints the commands that an unblock would run. It ends the holds of `origin`, or all holds if `origin` is null. */
export function printUnblock(
  addresses: readonly Address[],
  origin: Origin | null,
  context: Context,
  person: Person,
): void {
  const known = context.store.bans.findAll(addresses);
  const ending = addresses.filter((address) => {
    const holds = known.get(address.text)?.holds ?? [];
    const isKept = origin !== null && holds.some((hold) => hold.origin !== origin);
    if (isKept) person.print(`${address.text} stays blocked: another origin holds it`);
    return !isKept;
  });
  if (ending.length === 0) return;
  const changes = ending.map((address) => ({ address, to: 'released' as const }));
  printSteps(context.firewall.plan(changes), person);
}

/** Returns the firewall that would hold the new bans. Beyond `promote_at`, all bans are migrated to sets first. */
function firewallFor(coming: number, context: Context, { print }: Person): Firewall {
  const { beyond, bans, promoteAt } = inspectBackend(context);
  if (beyond === null || bans + coming <= promoteAt) return context.firewall;
  print(`# beyond firewall.promote_at = ${promoteAt} all bans are first migrated to ${beyond}`);
  return context.firewall.of(beyond);
}

export function printSteps(steps: readonly Command[], { print }: Person): void {
  if (steps.length === 0) print('nothing to do: the kernel already has the requested state');
  for (const { program, args, input } of steps) {
    const line = [program, ...args].map(quoted).join(' ');
    if (input === '') {
      print(line);
      continue;
    }
    print(`${line} <<END`);
    for (const line of input.trimEnd().split('\n')) print(`  ${line}`);
    print('END');
  }
}

/** Returns a word as a shell reads it. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word}'`;
}
