// Bans of single addresses end where a ban of their network takes their place.
import { describeError } from '../model/errors.ts';
import type { Address } from '../model/address.ts';
import { remainingSeconds, type Ban } from '../model/ban.ts';
import { isOfAlerts } from '../policy/aggregate.ts';
import type { BanContext } from './context.ts';
import { commitDecided, type BanChange } from './journal.ts';

/**
 * To be called once the kernel holds the network. What was decided before the writer lock was had may have changed: a
 * ban that a person made or that ends later stays. What fails stays pending for the next run.
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
      `addresses in ${network.text}, which is blocked, still have rules of their own: ${describeError(error)}`,
    );
  }
}

/** The address stays blocked, and its line says so. */
function changeOf(ban: Ban, network: Address): BanChange {
  const { address, holds } = ban;
  const alertRef = holds.at(-1)?.alertRef ?? { alertId: '0.0', ruleId: '0' };
  const line = { verb: 'kept', address, alertRef } as const;
  const origin = holds.at(-1)?.origin ?? null;
  return { address, to: 'released', before: ban, line, origin, reason: `part of ${network.text}` };
}
