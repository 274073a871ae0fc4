// Long output on a terminal goes through a pager, as git's does.
import { findProgram, runPager, type Pager } from '../../system/exec.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * $PAGER, or less; null where nothing is to be used. Who may run this program by sudo must not get a shell of root out of
 * it: less runs in its secure mode, and no other pager is started under sudo.
 */
export function choosePager(environment: Environment): Pick<Pager, 'path' | 'args'> | null {
  const [name = '', ...args] = (environment['PAGER'] ?? 'less').split(/\s+/).filter(Boolean);
  const program = name.split('/').at(-1) ?? '';
  const isSafe = program === 'less' || environment['SUDO_UID'] === undefined;
  if (program === '' || program === 'cat' || environment['TERM'] === 'dumb') return null;
  const path = findProgram(isSafe ? program : 'less');
  return path === null ? null : { path, args: isSafe ? args : [] };
}

/** Shows lines; false where no pager is to be used, or it could not be started. */
export function page(lines: readonly string[], environment: Environment): boolean {
  const pager = choosePager(environment);
  if (pager === null) return false;
  const { TERM = '', LESS = 'FRX', LANG = '', LC_ALL = '' } = environment;
  const variables = { TERM, LESS, LANG, LC_ALL, LESSSECURE: '1' };
  return runPager({ ...pager, environment: variables, input: `${lines.join('\n')}\n` });
}
