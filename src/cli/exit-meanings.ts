// The meanings of the exit statuses: one table for the help, the manual page and docs/exit-statuses.md.
import { EXIT_STATUS } from '../model/errors.ts';
import { ANSWER_NO, type CommandSpec } from './command.ts';
import type { Terms } from './help.ts';

export const EXIT_MEANINGS: readonly (readonly [status: number, meaning: string])[] = [
  [0, 'success, verified in the kernel; or the answer is yes'],
  [ANSWER_NO, 'the answer is no: not blocked, not protected, or something to repair'],
  [EXIT_STATUS.USAGE, 'usage error: unknown command or option, or a missing or invalid value'],
  [EXIT_STATUS.BAD_DATA, 'invalid input or a protected address: the request was not done in full'],
  [EXIT_STATUS.FIREWALL, 'the firewall could not be changed or queried, or execd went away'],
  [70, 'an internal error; please report it'],
  [EXIT_STATUS.RESOURCES, 'too few file descriptors: raise the limit (ulimit -n) of the caller'],
  [EXIT_STATUS.STORE, "the state, a file or standard output can't be read or written"],
  [EXIT_STATUS.LOCK_BUSY, 'another firewall-drop is running: try again'],
  [EXIT_STATUS.NOT_ROOT, 'the command needs root'],
  [EXIT_STATUS.CONFIG, "the configuration can't be read, or there is no agent to install into"],
  [EXIT_STATUS.INTERRUPTED, 'interrupted (Ctrl-C); the output says how much was done'],
];

/** Returns the exit statuses of a command, with their meaning for that command. */
export function exitsOf({ exits, needsRoot }: CommandSpec): Terms {
  const meanings = new Map(EXIT_MEANINGS);
  const own = Object.entries(exits).map(([status, meaning]) => {
    return [status, meaning ?? meanings.get(Number(status)) ?? ''] as const;
  });
  const common = needsRoot ? '64, 70, 71, 74 and 77' : '64, 70, 71 and 74';
  return [...own, ['other', `${common}: common to all commands, see firewall-drop --help`]];
}
