// What each exit status means: one table for the help, the manual page and docs/exit-statuses.md.
import { EXIT_STATUS } from '../model/errors.ts';

/** 1 is an answer, not an error. */
export const EXIT_MEANINGS: readonly (readonly [status: number, meaning: string])[] = [
  [0, 'done: the kernel was seen to be as asked; or the answer is yes'],
  [1, 'the answer is no: not blocked, not protected, or something to repair'],
  [EXIT_STATUS.USAGE, 'usage: the arguments name no action, or a value can not be read'],
  [EXIT_STATUS.BAD_DATA, 'bad data, or a protected address: not all was done that was asked'],
  [EXIT_STATUS.FIREWALL, 'firewall: the kernel is not as asked, or execd went away'],
  [70, 'a mistake of ours; please report it'],
  [EXIT_STATUS.RESOURCES, 'too few file descriptors: raise the limit (ulimit -n) of who starts it'],
  [EXIT_STATUS.STORE, 'the state, a file or standard output could not be used'],
  [EXIT_STATUS.LOCK_BUSY, 'another firewall-drop is at work: try again'],
  [EXIT_STATUS.NOT_ROOT, 'not root'],
  [EXIT_STATUS.CONFIG, 'the configuration can not be used, or there is no agent to install into'],
  [EXIT_STATUS.INTERRUPTED, 'interrupted (Ctrl-C); what was done and what was not is said'],
];
