// The choice of the pager: a user who can run only this program with sudo must not get a root shell.
import { expect, test } from '@jest/globals';
import { choosePager } from '../../../../src/cli/output/terminal.ts';

const ROOT = { TERM: 'xterm' };
const BY_SUDO = { ...ROOT, SUDO_UID: '1000' };

function nameOf(environment: Readonly<Record<string, string>>): string | null {
  const pager = choosePager(environment);
  return pager === null ? null : [pager.path.split('/').at(-1), ...pager.args].join(' ');
}

test.each([
  ['is less without $PAGER', ROOT, 'less'],
  ['keeps the options of less', { ...ROOT, PAGER: 'less -S' }, 'less -S'],
  [
    'is the program of $PAGER, found in the system directories',
    { ...ROOT, PAGER: '/tmp/more' },
    'more',
  ],
  ['is none for cat', { ...ROOT, PAGER: 'cat' }, null],
  ['is none for an empty $PAGER', { ...ROOT, PAGER: '' }, null],
  ['is none on a dumb terminal', { TERM: 'dumb' }, null],
  ['is none if it is not installed', { ...ROOT, PAGER: 'no-such-pager' }, null],
  ['is only ever less under sudo', { ...BY_SUDO, PAGER: 'more -x' }, 'less'],
])('the pager %s', (_, environment, wanted) => {
  expect(nameOf(environment)).toBe(wanted);
});
