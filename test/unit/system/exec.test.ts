// Starts real programs: their input, their results, and the time limit.
import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { EXIT_STATUS } from '../../../src/model/errors.ts';
import { findProgram, PROGRAM_DIRECTORIES, run, type Command } from '../../../src/system/exec.ts';
import { eventually } from '../../support/wait.ts';
import { codeOf } from '../support/workshop.ts';

const command = (program: string, args: readonly string[] = [], input = ''): Command => ({
  program,
  args,
  input,
});
const shell = (script: string, input = ''): Command => command('sh', ['-c', script], input);
const LONG_MS = 600_000;

/** Reports whether a process has ended, even if its parent has not collected its status yet. */
function isGone(pid: number): boolean {
  if (!existsSync(`/proc/${pid}`)) return true;
  return readFileSync(`/proc/${pid}/stat`, 'utf8').includes(' Z ');
}

describe('a program that ends', () => {
  test('returns its exit status', () => {
    expect(run(command('true'), LONG_MS)).toEqual({
      status: 0,
      stdout: '',
      stderr: '',
      trouble: '',
    });
    expect(run(shell('exit 4'), LONG_MS)).toMatchObject({ status: 4, trouble: '' });
  });

  test('returns standard output and standard error separately', () => {
    const result = run(shell('echo out; echo err >&2'), LONG_MS);
    expect(result).toMatchObject({ stdout: 'out\n', stderr: 'err\n' });
  });

  test('gets its input, of any size, and the end of the input', () => {
    const input = '-A INPUT -j DROP\n'.repeat(100_000);
    expect(run(command('cat', [], input), LONG_MS).stdout).toBe(input);
  });

  test('returns its exit status even if it did not read its input', () => {
    const result = run(shell('echo busy >&2; exit 4', 'x'.repeat(5_000_000)), LONG_MS);
    expect(result).toMatchObject({ status: 4, stderr: 'busy\n' });
  });

  test('gets each argument unchanged, because no shell is used', () => {
    const hostile = ['$(id)', '; reboot', '`id`', '*', 'a b', "'", '"', '\n', '-n'];
    expect(run(command('printf', ['%s|', ...hostile]), LONG_MS).stdout).toBe(
      hostile.map((text) => `${text}|`).join(''),
    );
  });
});

describe('a program that does not end', () => {
  test('is killed at its deadline, which is reported', () => {
    const result = run(command('sleep', ['60']), 200);
    expect(result).toMatchObject({
      status: null,
      trouble: 'did not end within 0.2 s and was killed',
    });
  });

  test('is killed even if it ignores SIGTERM', () => {
    const result = run(shell('trap "" TERM INT HUP; while :; do sleep 60; done'), 300);
    expect(result.status).toBeNull();
  });

  test('is killed with its children, which could otherwise change the kernel after it was verified', async () => {
    const { stdout } = run(shell('sleep 60 >/dev/null 2>&1 </dev/null & echo $!; wait'), 3000);
    await eventually('its child to be gone', () => isGone(Number(stdout)));
  });

  test('is killed with its children if it prints too much', async () => {
    const { stdout } = run(shell('sleep 60 & echo $!; cat /dev/zero'), LONG_MS);
    await eventually('its child to be gone', () => isGone(Number.parseInt(stdout, 10)));
  });

  test('returns the output up to the deadline', () => {
    expect(run(shell('echo so far; sleep 60'), 5000).stdout).toBe('so far\n');
  });
});

describe('a program that ends and whose child keeps its pipes open', () => {
  test('returns its own exit status and output, at the deadline', () => {
    const result = run(shell('echo out; echo err >&2; sleep 60 & exit 3'), 3000);
    expect(result).toEqual({ status: 3, stdout: 'out\n', stderr: 'err\n', trouble: '' });
  });

  test('leaves the child running', () => {
    const { stdout } = run(shell('sleep 60 & echo $!'), 3000);
    const pid = Number(stdout);
    expect(isGone(pid)).toBe(false);
    process.kill(pid, 'SIGKILL');
  });
});

test('a program that a signal kills has no exit status, and the error names the signal', () => {
  expect(run(shell('kill -SEGV $$'), LONG_MS)).toMatchObject({
    status: null,
    trouble: 'was killed by SIGSEGV',
  });
});

describe('a program that a signal to our process group kills at its start', () => {
  let directory = '';
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'firewall-drop-exec-'));
  });
  afterEach(() => {
    rmSync(directory, { recursive: true });
  });

  test.each(['INT', 'HUP', 'QUIT', 'TERM'])('is started once more after SIG%s', (signal) => {
    const script = `[ -e ${directory}/once ] || { : >${directory}/once; kill -${signal} $$; }; echo done`;
    expect(run(shell(script), LONG_MS)).toMatchObject({ status: 0, stdout: 'done\n', trouble: '' });
  });

  test('is not started a third time', () => {
    const result = run(shell(`echo >>${directory}/starts; kill -INT $$`), LONG_MS);
    expect(result).toMatchObject({ status: null, trouble: 'was killed by SIGINT' });
    expect(readFileSync(`${directory}/starts`, 'utf8')).toBe('\n\n');
  });
});

test('a program that prints without end is killed, which is not a success', () => {
  const result = run(command('cat', ['/dev/zero']), LONG_MS);
  expect(result.status).toBeNull();
  expect(result.trouble).not.toBe('');
  expect(result.stdout.length).toBeLessThan(100 * 1024 * 1024);
});

describe('a missing program', () => {
  test('is an error that names the directories searched and what to do', () => {
    const work = (): unknown => run(command('no-such-program'), LONG_MS);
    expect(codeOf(work)).toBe('FIREWALL');
    expect(work).toThrow(/no-such-program was not found in \/usr\/sbin, .*install it/);
  });

  test('is not searched for in the PATH of the environment', () => {
    const before = process.env['PATH'];
    process.env['PATH'] = __dirname;
    try {
      expect(findProgram('run.test.ts')).toBeNull();
      expect(findProgram('true')).toMatch(/^\/(?:usr\/)?bin\/true$/);
    } finally {
      process.env['PATH'] = before;
    }
  });

  test('is missing even if a directory has its name', () => {
    expect(findProgram('.')).toBeNull();
  });

  test('is searched for in absolute directories only', () => {
    expect(PROGRAM_DIRECTORIES.every((directory) => directory.startsWith('/'))).toBe(true);
  });
});

describe('a program inherits', () => {
  test('an environment of three variables, regardless of ours', () => {
    process.env['LD_PRELOAD_FOR_TEST'] = 'x';
    process.env['XTABLES_LIBDIR'] = '/tmp';
    try {
      expect(run(command('env'), LONG_MS).stdout.trim().split('\n').sort()).toEqual([
        `FIREWALL_DROP_STARTED_BY=${process.pid}`,
        'LC_ALL=C',
        `PATH=${PROGRAM_DIRECTORIES.join(':')}`,
      ]);
    } finally {
      delete process.env['LD_PRELOAD_FOR_TEST'];
      delete process.env['XTABLES_LIBDIR'];
    }
  });

  test('the root directory as its working directory, in which only root can create files', () => {
    expect(run(command('pwd'), LONG_MS).stdout).toBe('/\n');
  });

  test('none of our open files', () => {
    const descriptor = openSync(__filename, 'r');
    try {
      const open = run(shell('ls /proc/$$/fd'), LONG_MS).stdout.split('\n');
      expect(open).not.toContain(String(descriptor));
    } finally {
      closeSync(descriptor);
    }
  });
});

test('a process without a free file descriptor fails with a specific code', () => {
  const program = `
    const { run } = await import(${JSON.stringify(join(__dirname, '../../../src/system/exec.ts'))});
    const { openSync } = await import('node:fs');
    globalThis.require = (await import('node:module')).createRequire('/');
    try {
      for (;;) openSync('/dev/null');
    } catch {}
    try {
      run({ program: 'true', args: [], input: '' }, ${LONG_MS});
    } catch (error) {
      process.exitCode = error.exitStatus;
    }`;
  const { status } = spawnSync(
    'bash',
    ['-c', 'ulimit -n 100; exec "$0" --input-type=module -e "$1"', process.execPath, program],
    { encoding: 'utf8' },
  );
  expect(status).toBe(EXIT_STATUS.RESOURCES);
});
