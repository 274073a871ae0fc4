// Checks completion in real shells: the words, their places, and no superfluous blanks.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { runOnTerminal } from '../support/terminal.ts';
import { createVictim, type Victim } from '../support/victim.ts';

const A = '203.0.113.7';
const A6 = '2001:db8:ffff::7';
const SCRIPT = '/var/tmp/completion';

let victim: Victim;
beforeAll(async () => {
  victim = await createVictim();
  victim.person(['add', A, A6]);
  victim.host.mkdir('/var/tmp/lists');
  victim.host.writeFile('/var/tmp/lists/one.txt', '');
  for (const shell of ['bash', 'zsh', 'fish']) {
    victim.host.writeFile(`${SCRIPT}.${shell}`, victim.person(['completion', shell]).stdout);
  }
});
afterAll(() => victim.dispose());

const LINES: readonly (readonly [line: string, offered: readonly string[]])[] = [
  ['hist', ['history']],
  ['protect ', ['check', 'list']],
  ['list -o ', ['csv', 'json', 'plain', 'table']],
  ['list --sor', ['--sort']],
  ['delete 203.', [A]],
  ['is-blocked ', [A6, A]],
  ['add --file /var/tmp/lists/o', ['/var/tmp/lists/one.txt']],
];

/** Runs a script in which the program is found by its name. */
function withProgram(script: string): string {
  const directory = victim.agent.program().replace(/\/[^/]+$/, '');
  return `cd /; PATH=${directory}:$PATH; ${script}`;
}

describe('bash', () => {
  test.each(LINES)('offers after "firewall-drop %s" the words %j', (line, offered) => {
    const whole = `firewall-drop ${line}`;
    const script = withProgram(
      `. ${SCRIPT}.bash; COMP_LINE=${JSON.stringify(whole)} COMP_POINT=${whole.length}; _firewall_drop; printf '%s\\n' "\${COMPREPLY[@]}"`,
    );
    const lines = victim.host.must(['bash', '-c', script]).trimEnd().split('\n');
    expect(lines.toSorted()).toEqual(offered.toSorted());
  });

  test('completes after a colon of an IPv6 address', () => {
    const whole = 'firewall-drop delete 2001:db8:ff';
    const script = withProgram(
      `. ${SCRIPT}.bash; COMP_LINE=${JSON.stringify(whole)} COMP_POINT=${whole.length}; _firewall_drop; echo "\${COMPREPLY[@]}"`,
    );
    expect(victim.host.must(['bash', '-c', script])).toBe('ffff::7\n');
  });
});

describe('fish', () => {
  test.each(LINES)('offers after "firewall-drop %s" the words %j', (line, offered) => {
    const script = `source ${SCRIPT}.fish; complete -C ${JSON.stringify(`firewall-drop ${line}`)}`;
    const output = victim.host.must([
      'bash',
      '-c',
      withProgram(`exec fish --no-config -c '${script}'`),
    ]);
    const words = output
      .trimEnd()
      .split('\n')
      .map((one) => one.split('\t')[0] ?? '');
    expect(words.toSorted()).toEqual(offered.toSorted());
  });
});

describe('zsh', () => {
  /** Returns the line after Tab, which a widget prints. */
  async function completed(line: string): Promise<string> {
    victim.host.writeFile(
      '/var/tmp/zsh/.zshrc',
      `autoload -U compinit; compinit -u -d /var/tmp/zsh/dump; . ${SCRIPT}.zsh
say() { print -r -- ; print -r -- "LINE[$BUFFER]"; exit }
zle -N say; bindkey '^G' say; PS1='READY> '`,
    );
    const argv = ['bash', '-c', withProgram('exec zsh -i')];
    const answer = { to: 'READY> ', typed: `firewall-drop ${line}\t\u0007` };
    const variables = { ZDOTDIR: '/var/tmp/zsh' };
    const { output } = await runOnTerminal(victim.host, argv, { columns: 120, answer, variables });
    return /LINE\[firewall-drop (.*)\]/.exec(output)?.[1] ?? output;
  }

  beforeAll(() => {
    victim.host.mkdir('/var/tmp/zsh');
  });

  test.each([
    ['hist', 'history '],
    ['protect ch', 'protect check '],
    ['list -o js', 'list -o json '],
    ['list --sor', 'list --sort '],
    ['delete 203.', `delete ${A} `],
    ['delete 2001:', `delete ${A6} `],
    ['add --file /var/tmp/lists/o', 'add --file /var/tmp/lists/one.txt '],
  ])('completes "%s" to "%s"', async (line, whole) => {
    expect(await completed(line)).toBe(whole);
  });
});
