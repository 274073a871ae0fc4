// Checks that each command exits with exactly the statuses in its help, whatever fails.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { COMMANDS } from '../../src/cli/commands.ts';
import type { CommandSpec } from '../../src/cli/command.ts';
import { commandHelp } from '../../src/cli/help.ts';
import { parseArguments } from '../../src/cli/parse.ts';
import { builtBinary } from '../support/binary.ts';
import { loadSnapshot, saveSnapshot } from '../support/snapshot.ts';
import { createVictim, type Victim } from '../support/victim.ts';
import { collectLines, eventually } from '../support/wait.ts';

const A = '203.0.113.7';
const ALERT = '/run/alert.json';
const LIST = '/run/bans.jsonl';

interface Lines {
  readonly usual: string;
  /** The command line with an address, a file or an option that can't be read. */
  readonly wrong: string;
  /** True if the command depends neither on the kernel, nor on firewall programs, nor on other runs. */
  readonly isAlone?: true;
}

const LINES: Readonly<Record<string, Lines>> = {
  add: { usual: 'add 203.0.113.8', wrong: 'add 203.0.113.300' },
  delete: { usual: `delete ${A}`, wrong: 'delete x' },
  extend: { usual: `extend ${A} 2h`, wrong: 'extend 203.0.113.99 2h' },
  flush: { usual: 'flush --yes', wrong: 'flush' },
  forgive: { usual: `forgive ${A}`, wrong: 'forgive x' },
  list: { usual: 'list', wrong: 'list --limit x', isAlone: true },
  status: { usual: 'status', wrong: 'status x' },
  'is-blocked': { usual: `is-blocked ${A}`, wrong: 'is-blocked x' },
  history: { usual: 'history', wrong: 'history x', isAlone: true },
  explain: { usual: `explain ${ALERT}`, wrong: 'explain /nonexistent' },
  expire: { usual: 'expire', wrong: 'expire x' },
  restore: { usual: 'restore', wrong: 'restore x' },
  reconcile: { usual: 'reconcile --dry-run', wrong: 'reconcile x' },
  backend: { usual: 'backend', wrong: 'backend x', isAlone: true },
  doctor: { usual: 'doctor --test', wrong: 'doctor x' },
  'protect check': { usual: `protect check ${A}`, wrong: 'protect check x', isAlone: true },
  'protect list': { usual: 'protect list', wrong: 'protect list x', isAlone: true },
  'config show': { usual: 'config show', wrong: 'config show x', isAlone: true },
  'config validate': {
    usual: 'config validate',
    wrong: 'config validate /nonexistent',
    isAlone: true,
  },
  'config snippet': { usual: 'config snippet', wrong: 'config snippet --allow x', isAlone: true },
  'config check': { usual: 'config check', wrong: 'config check /nonexistent', isAlone: true },
  'test-alert': { usual: 'test-alert', wrong: 'test-alert --srcip x', isAlone: true },
  install: { usual: 'install --dry-run', wrong: 'install --home /nonexistent', isAlone: true },
  uninstall: {
    usual: 'uninstall --dry-run',
    wrong: 'uninstall --home /nonexistent',
    isAlone: true,
  },
  export: { usual: 'export', wrong: 'export x', isAlone: true },
  import: { usual: `import ${LIST}`, wrong: 'import /etc/hostname' },
  metrics: { usual: 'metrics', wrong: 'metrics --textfile /run/x', isAlone: true },
  version: { usual: 'version', wrong: 'version x', isAlone: true },
  man: { usual: 'man', wrong: 'man x', isAlone: true },
  completion: { usual: 'completion bash', wrong: 'completion tcsh', isAlone: true },
};

let victim: Victim;
let lock: Lock;
beforeAll(async () => {
  victim = await createVictim();
  victim.host.writeFile(ALERT, `{"data":{"srcip":"${A}"}}`);
  victim.person(['add', '203.0.113.9']);
  victim.host.writeFile(LIST, victim.person(['export']).stdout);
  victim.reset();
  victim.person(['add', A]);
  saveSnapshot(victim, 'one ban');
  lock = await startLock();
});
beforeEach(() => {
  victim.reset();
  loadSnapshot(victim, 'one ban');
});
afterAll(() => victim.dispose());

/** Runs a command line through a shell, because the failures concern its start. */
function statusOf(line: string, how = '"$@"', program = victim.agent.program()): number | null {
  const argv = ['bash', '-c', how, 'bash', program, ...line.split(' ')];
  return victim.host.run(argv).status;
}

/** Returns the statuses at the start of lines below "Exit status:", and those that are the same for all commands. */
function namedBy(command: CommandSpec): number[] {
  // person-about.test.ts checks that the program prints this text.
  const help = commandHelp(command, null).join('\n');
  const [, part = ''] = /^Exit status:\n([^]*?)\n\n/m.exec(help) ?? [];
  const own = Array.from(part.matchAll(/^ {2}(\d+) {2}/gm), ([, status]) => Number(status));
  const [, common = ''] = /^ {2}other +(\d+, .*?):/m.exec(part) ?? [];
  return [...own, ...common.split(/, | and /).map(Number)];
}

interface Lock {
  hold(): Promise<void>;
  release(): Promise<void>;
}

/** Starts a program that takes the writer lock on request. */
async function startLock(): Promise<Lock> {
  const script = `const { DatabaseSync } = require('node:sqlite');
    const lock = new DatabaseSync('/run/firewall-drop/lock');
    console.log('ready');
    require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
      lock.exec(line);
      console.log(line);
    });`;
  const { stdin, stdout } = victim.host.spawn([process.execPath, '-e', script]);
  if (stdin === null || stdout === null) throw new Error('no pipes to the program');
  const said = collectLines(stdout);
  await eventually('the program for the lock', () => said.length > 0);
  const exec = async (statement: string): Promise<void> => {
    const before = said.length;
    stdin.write(`${statement}\n`);
    await eventually(statement, () => said.length > before);
  };
  return { hold: () => exec('BEGIN EXCLUSIVE'), release: () => exec('ROLLBACK') };
}

test('the list of command lines covers every command', () => {
  expect(Object.keys(LINES).toSorted()).toEqual(COMMANDS.map(({ name }) => name).toSorted());
});

describe.each(COMMANDS.map((command) => ({ name: command.name, command })))(
  '$name',
  ({ name, command }) => {
    const { usual = '', wrong = '', isAlone = false } = LINES[name] ?? {};

    test('names its exit status for each failure', async () => {
      const given = new Map<string, number | null>();
      given.set('usual', statusOf(usual));
      given.set('wrong', statusOf(wrong));
      given.set('a full disk behind standard output', statusOf(usual, '"$@" >/dev/full'));
      await (isAlone ? tryAtOnce : tryEach)(given, usual);
      const become = 'setpriv --reuid 65534 --regid 65534 --clear-groups "$@"';
      given.set('not root', statusOf(usual, become, builtBinary()));
      const known = namedBy(command);
      const unknown = [...given].filter(([, status]) => !known.includes(status ?? -1));
      expect({ unknown, known }).toEqual({ unknown: [], known });
    });

    test('refuses options that are not in its help', () => {
      // command-line.test.ts checks how the program reports this error.
      expect(() => parseArguments([...usual.split(' '), '--nonexistent'], COMMANDS)).toThrow(
        expect.objectContaining({ code: 'USAGE' }),
      );
      expect(namedBy(command)).toContain(64);
    });
  },
);

const ELSEWHERE = 'unshare --net "$@"';

/** Does the work while the lock is held. A run that needs the lock then fails at once. */
async function withLockHeld(work: () => void): Promise<void> {
  victim.configure('[limits]\nlock_wait_seconds = 0\n');
  await lock.hold();
  try {
    work();
  } finally {
    await lock.release();
  }
}

function withoutPrograms(work: () => void): void {
  victim.host.useIptables('none');
  try {
    work();
  } finally {
    victim.host.useIptables('nft');
  }
}

async function tryEach(given: Map<string, number | null>, usual: string): Promise<void> {
  given.set('another network namespace', statusOf(usual, ELSEWHERE));
  withoutPrograms(() => given.set('no firewall programs', statusOf(usual)));
  await withLockHeld(() => given.set('another one at work', statusOf(usual)));
}

/** Checks that a command that depends on none of these ends as usual. */
async function tryAtOnce(given: Map<string, number | null>, usual: string): Promise<void> {
  await withLockHeld(() => {
    withoutPrograms(() => {
      expect(statusOf(usual, ELSEWHERE)).toBe(given.get('usual'));
    });
  });
}
