// The one call that starts programs: the runtime's own binding does the same as the public module.
import { spawnSync } from 'node:child_process';
import { describe, expect, test } from '@jest/globals';
import { spawn, type Spawn, type Spawned } from '../../../src/system/exec.ts';

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
    expect(withoutPid(spawn(program))).toEqual(withoutPid(spawnByModule(program)));
  });
});

/** Each start has its own process id; what counts is whether there was one. */
function withoutPid({ pid, ...rest }: Spawned): object {
  return { started: pid > 0, ...rest };
}

function spawnByModule(program: Spawn): Spawned {
  const { path, args, environment: env, input, timeoutMs: timeout, largestOutput } = program;
  // Typed without it, and passed on by spawnSync all the same.
  const group = { detached: true, cwd: '/', killSignal: 'SIGKILL', encoding: 'latin1' } as const;
  const result = spawnSync(path, args, { ...group, env, input, timeout, maxBuffer: largestOutput });
  const { pid, status, signal, error } = result;
  const [stdout, stderr] = [textOf(result.stdout), textOf(result.stderr)];
  const code = error !== undefined && 'code' in error ? String(error.code) : '';
  return { pid, status, signal, stdout, stderr, code };
}

/** Typed as text, and null when the program could not even be started. */
function textOf(output: unknown): string {
  return typeof output === 'string' ? output : '';
}
