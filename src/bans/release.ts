// Takes blocks out of the kernel for whoever ends them: intent, kernel, line, books.
import { step } from '../system/fault.ts';
import type { Address } from '../model/address.ts';
import type { AlertRef, Origin } from '../model/ban.ts';
import { forEachFamily } from './families.ts';
import type { Tools } from './tools.ts';

/** An address whose last hold is over. */
export interface Ending {
  readonly address: Address;
  readonly alertRef: AlertRef;
  /** Whose hold it was; null where it was everybody's or nobody's. */
  readonly origin: Origin | null;
  /** For the history. */
  readonly reason: string;
  /** Whether the books say that the kernel holds the block. */
  readonly inState: boolean;
}

/**
 * One firewall transaction per family, or a few where its backend likes parts better; the newest blocks first. Throws
 * `FIREWALL` when the kernel was not seen to be rid of all of a family; the intents then stay, and the next run tries again.
 */
export function release(endings: readonly Ending[], tools: Tools): void {
  const { mostReleases } = tools.firewall;
  let done = 0;
  forEachFamily(endings.toReversed(), (own) => {
    for (let from = 0; from < own.length; from += mostReleases) {
      const some = own.slice(from, from + mostReleases);
      releaseSome(some, tools);
      done += some.length;
      tools.onProgress(done, endings.length);
    }
  });
}

function releaseSome(endings: readonly Ending[], tools: Tools): void {
  const { store, firewall, responseLog, now } = tools;
  const mark = responseLog.offset();
  const outcomes = endings.map(({ address, alertRef }) => {
    return { verb: 'delete', address, alertRef } as const;
  });
  store.intend(
    outcomes.map((owed) => {
      return { address: owed.address, phase: 'unblocking', owed, mark, hold: null };
    }),
    now(),
  );
  step('release: intent written');
  firewall.apply(
    endings.map(({ address }) => ({ address, to: 'released' })),
    { trustState: endings.every(({ inState }) => inState) },
  );
  step('release: kernel told');
  responseLog.write(outcomes);
  step('release: line written');
  const history = endings.map(({ address, alertRef, origin, reason }) => {
    return { atMs: now(), outcome: { verb: 'delete', address, alertRef }, origin, reason } as const;
  });
  store.confirm(
    endings.map(({ address }) => address),
    history,
  );
  step('release: books confirmed');
}
