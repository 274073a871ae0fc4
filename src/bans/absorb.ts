// Ends the bans of single addresses that a ban of their network replaces.
import { describeError } from '../model/errors.ts';
import type { Address } from '../model/address.ts';
import { remainingSeconds, type Ban } from '../model/ban.ts';
import { isOfAlerts } from '../policy/aggregate.ts';
import type { BanContext } from './context.ts';
import { commitDecided, type BanChange } from './journal.ts';

/**
 * Ends the bans of `addresses` that `network` covers. Must be called after the network is blocked. Bans may have
 * changed since the list was made without the writer lock: a ban that a person made, or that lasts longer than that of
 * the network, stays. A failed release stays pending for the next run.
 */
export function absorb(addresses: readonly Address[], network: Address, context: BanContext): void {
  const { bans } = context.store;
  const leftOf = ({ holds }: Ban): number => remainingSeconds(holds, context.now()) ?? Infinity;
  try {
    commitDecided(() => {
      const whole = bans.find(network);
      const left = whole === null ? 0 : leftOf(whole);
      const covered = [...bans.findAll(addresses).values()].filter((ban) => {
        return isOfAlerts(ban) && leftOf(ban) <= left;
      });
      return covered.map((ban) => changeOf(ban, network));
    }, context);
  } catch (error) {
    context.warn(
      `${network.text} is blocked, but addresses in it still have rules of their own: ${describeError(error)}`,
    );
  }
}

/** Returns the release of a ban. Its line says `kept`, because the address stays blocked. */
function changeOf(ban: Ban, network: Address): BanChange {
  const { address, holds } = ban;
  const alertRef = holds.at(-1)?.alertRef ?? { alertId: '0.0', ruleId: '0' };
  const line = { verb: 'kept', address, alertRef } as const;
  const origin = holds.at(-1)?.origin ?? null;
  return { address, to: 'released', before: ban, line, origin, reason: `part of ${network.text}` };
}
