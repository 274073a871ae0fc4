// The one call that starts programs: the runtime's own binding and the public module do the same.
import { describe, expect, test } from '@jest/globals';
import { findBinding, spawn, type Spawn, type Spawned } from '../../../src/system/exec.ts';

test('the pinned runtime has the binding that saves loading node:child_process', () => {
  expect(findBinding()).not.toBeNull();
});

const shell = (script: string, parts: Partial<Spawn> = {}): Spawn => ({
  path: '/bin/sh',
  args: ['-c', script],
  environment: { LC_ALL: 'C', PATH: '/usr/bin:/bin' },
  input: '',
  timeoutMs: 600_000,
  largestOutput: 1000,
  ...parts,
});

const CASES: readonly (readonly [string, Spawn])[] = [
  ['a program that prints', shell('echo out; echo err >&2; exit 3')],
  ['a program that reads its input', shell('cat', { input: 'line\n' })],
  ['a program that reads the end of an empty input', shell('cat; echo end')],
  ['a program that leaves its input', shell('exit 4', { input: 'x'.repeat(1_000_000) })],
  ['a program that dies of a signal', shell('kill -SEGV $$')],
  ['a program that does not end', shell('echo begun; sleep 600', { timeoutMs: 3000 })],
  ['a program that prints too much', shell('printf %2000d 0; sleep 600')],
  ['a program that prints its environment and directory', shell('pwd; env')],
  ['bytes that are no UTF-8', shell(String.raw`printf '\377\200'`)],
  ['a program that is not there', shell('', { path: '/nonexistent' })],
  ['a file that is no program', shell('', { path: '/etc/passwd' })],
];

describe.each(CASES)('%s', (_, program) => {
  test('gives the same by the binding and by the module', () => {
    expect(withoutPid(spawn(program))).toEqual(withoutPid(spawn(program, null)));
  });
});

/** Each start has its own process id; what counts is whether there was one. */
function withoutPid({ pid, ...rest }: Spawned): object {
  return { started: pid > 0, ...rest };
}
