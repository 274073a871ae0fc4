// What each exit status means: one table for the help, the manual page and docs/exit-statuses.md.
import { EXIT_STATUS } from '../model/errors.ts';
import { ANSWER_NO, type CommandSpec } from './command.ts';
import type { Terms } from './help.ts';

export const EXIT_MEANINGS: readonly (readonly [status: number, meaning: string])[] = [
  [0, 'done: the kernel was seen to be as asked; or the answer is yes'],
  [ANSWER_NO, 'the answer is no: not blocked, not protected, or something to repair'],
  [EXIT_STATUS.USAGE, "usage: the arguments name no action, or a value can't be read"],
  [EXIT_STATUS.BAD_DATA, 'bad data, or a protected address: not all was done that was asked'],
  [EXIT_STATUS.FIREWALL, 'firewall: the kernel is not as asked, or execd went away'],
  [70, 'an internal error; please report it'],
  [EXIT_STATUS.RESOURCES, 'too few file descriptors: raise the limit (ulimit -n) of who starts it'],
  [EXIT_STATUS.STORE, 'the state, a file or standard output could not be used'],
  [EXIT_STATUS.LOCK_BUSY, 'another firewall-drop is at work: try again'],
  [EXIT_STATUS.NOT_ROOT, 'not root'],
  [EXIT_STATUS.CONFIG, "the configuration can't be used, or there is no agent to install into"],
  [EXIT_STATUS.INTERRUPTED, 'interrupted (Ctrl-C); the output says what was done and what was not'],
];

/** What a command may end with, and what each means there. */
export function exitsOf({ exits, needsRoot }: CommandSpec): Terms {
  const meanings = new Map(EXIT_MEANINGS);
  const own = Object.entries(exits).map(([status, meaning]) => {
    return [status, meaning ?? meanings.get(Number(status)) ?? ''] as const;
  });
  const common = needsRoot ? '64, 70, 71, 74 and 77' : '64, 70, 71 and 74';
  return [...own, ['other', `${common}: as for all commands, see firewall-drop --help`]];
}
