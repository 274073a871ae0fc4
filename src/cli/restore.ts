// Brings the kernel in line with the state, for `restore`, `reconcile` and `doctor --fix`.
import { expireDue } from '../bans/expire.ts';
import { runAll } from '../model/parts.ts';
import { releaseOrphans, readSavedFiles } from '../bans/orphans.ts';
import { recover } from '../bans/recover.ts';
import { restore } from '../bans/restore.ts';
import type { Context } from '../context.ts';
import { findProtection } from '../policy/protected.ts';
import { readClock } from '../system/procfs.ts';
import { count } from './output/count.ts';
import type { Person } from './session.ts';

/**
 * Restores all bans. `completed` is the number of pending changes that the caller has already completed. A part that
 * fails does not stop the others; throws `FIREWALL` at the end.
 */
export function restoreAll(context: Context, person: Person, completed = 0): void {
  runAll([
    () => recover(context, context),
    () => {
      for (const { address } of expireDue(context)) {
        person.print(`${address.text} released: its ban has expired`);
      }
    },
    () => restoreBans(context, person, completed),
    () => {
      const files = readSavedFiles(context.config, context.warn);
      const search = { files, clock: readClock(), chains: context.config.firewall.chains };
      for (const { address, path } of releaseOrphans(search, context)) {
        person.print(`${address.text} released: its ban had ended, and ${path} restored the rule`);
      }
    },
    () => context.store.metadata.flush(),
  ]);
}

function restoreBans(context: Context, person: Person, completed: number): void {
  const entries = context.protectedEntries();
  const outcome = restore(context, (address) => findProtection(address, entries) !== null);
  for (const ban of outcome.released) person.print(`${ban.address.text} released: it is protected`);
  const how = outcome.changed || completed > 0 ? 'restored' : 'already in place';
  person.print(`${count(outcome.blocked.length, 'ban')} ${how}`);
}
