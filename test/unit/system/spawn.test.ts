// Compares the call that starts programs, Node's internal binding, with its public module.
import { spawnSync } from 'node:child_process';
import { describe, expect, test } from '@jest/globals';
import { ENVIRONMENT, spawn, type Spawned } from '../../../src/system/exec.ts';

/** The arguments of `spawn` in a case. */
interface Case {
  readonly path?: string;
  readonly input?: string;
  readonly timeoutMs?: number;
}

const CASES: readonly (readonly [title: string, script: string, parts?: Case])[] = [
  ['a program that prints', 'echo out; echo err >&2; exit 3'],
  ['a program that reads its input', 'cat', { input: 'line\n' }],
  ['a program that reads the end of an empty input', 'cat; echo end'],
  ['a program that does not read its input', 'exit 4', { input: 'x'.repeat(1_000_000) }],
  ['a program that a signal kills', 'kill -SEGV $$'],
  ['a program that does not end', 'echo begun; sleep 600', { timeoutMs: 3000 }],
  ['a program that prints too much', 'head -c 70000000 /dev/zero; sleep 600'],
  ['a program that prints its environment and directory', 'pwd; env'],
  ['bytes that are not UTF-8', String.raw`printf '\377\200'`],
  ['a missing program', '', { path: '/nonexistent' }],
  ['a file that is not a program', '', { path: '/etc/passwd' }],
];

/** The amount of output that is read before the program is killed depends on timing. */
const SHOWN = 1000;

describe.each(CASES)('%s', (_, script, parts = {}) => {
  test('gives the same result with the binding and with the module', () => {
    const { path = '/bin/sh', input = '', timeoutMs = 600_000 } = parts;
    const command = { program: 'sh', args: ['-c', script], input };
    const { pid, stdout, ...own } = spawn(path, command, timeoutMs);
    const ours = { started: pid > 0, stdout: stdout.slice(0, SHOWN), ...own };
    expect(ours).toEqual(spawnByModule(path, command, timeoutMs));
  });
});

/** Process ids differ, so only their presence is compared. */
function spawnByModule(
  path: string,
  { args, input }: { readonly args: readonly string[]; readonly input: string },
  timeout: number,
): Omit<Spawned, 'pid'> & { readonly started: boolean } {
  // The type lacks this option, but spawnSync passes it on.
  const group = { detached: true };
  const { pid, status, signal, stdout, stderr, error } = spawnSync(path, args, {
    ...group,
    cwd: '/',
    env: ENVIRONMENT,
    input,
    timeout,
    killSignal: 'SIGKILL',
    maxBuffer: 64 * 1024 * 1024,
    encoding: 'latin1',
  });
  return {
    started: pid > 0,
    status,
    signal,
    stdout: textOf(stdout).slice(0, SHOWN),
    stderr: textOf(stderr),
    code: error !== undefined && 'code' in error ? String(error.code) : '',
  };
}

/** The type says text, but the value is null if the program could not be started. */
function textOf(output: unknown): string {
  return typeof output === 'string' ? output : '';
}
