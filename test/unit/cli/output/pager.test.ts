// Which pager is used, and which one never: who may call us by sudo must not get a shell of root.
import { expect, test } from '@jest/globals';
import { choosePager } from '../../../../src/cli/output/terminal.ts';

const ROOT = { TERM: 'xterm' };
const BY_SUDO = { ...ROOT, SUDO_UID: '1000' };

function nameOf(environment: Readonly<Record<string, string>>): string | null {
  const pager = choosePager(environment);
  return pager === null ? null : [pager.path.split('/').at(-1), ...pager.args].join(' ');
}

test.each([
  ['less without $PAGER', ROOT, 'less'],
  ['less with its options', { ...ROOT, PAGER: 'less -S' }, 'less -S'],
  [
    'what $PAGER names, from the directories of the system',
    { ...ROOT, PAGER: '/tmp/more' },
    'more',
  ],
  ['none for cat', { ...ROOT, PAGER: 'cat' }, null],
  ['none for an empty $PAGER', { ...ROOT, PAGER: '' }, null],
  ['none on a dumb terminal', { TERM: 'dumb' }, null],
  ['none that is not installed', { ...ROOT, PAGER: 'no-such-pager' }, null],
  ['less alone under sudo', { ...BY_SUDO, PAGER: 'more -x' }, 'less'],
])('%s', (_, environment, wanted) => {
  expect(nameOf(environment)).toBe(wanted);
});
