// The input for iptables-restore and the meaning of its listing. No program is run.
import { describe, expect, test } from '@jest/globals';
import type { Change, View } from '../../../../src/firewall/backend.ts';
import {
  createIptables,
  type IptablesOptions,
  type IptablesView,
} from '../../../../src/firewall/iptables/plan.ts';
import { addressOf, codeOf } from '../../support/workshop.ts';

const OPTIONS: IptablesOptions = {
  variant: 'auto',
  chains: ['INPUT', 'FORWARD'],
  optionalChains: ['DOCKER-USER'],
  lockWaitSeconds: 10,
};
const backend = createIptables(OPTIONS);
const DROP = '-s 203.0.113.9/32 -j DROP';

const blocked = (text: string): Change => ({ address: addressOf(text), to: 'blocked' });
const released = (text: string): Change => ({ address: addressOf(text), to: 'released' });

const look = backend.plan(6, backend.nothingKnown, []);

/** Returns the view after a look printed this listing. */
function known(stdout: string): IptablesView {
  if (look === null) throw new Error('there is no command');
  const ran = { command: look, status: 0, stderr: '', before: backend.nothingKnown };
  return backend.read(stdout, ran);
}

/** Returns the view of a kernel with these rules in both INPUT and FORWARD. */
function listing(...rules: readonly string[]): IptablesView {
  return known(
    [
      '-P INPUT ACCEPT',
      '-P FORWARD DROP',
      '-P OUTPUT ACCEPT',
      '-N f2b-sshd',
      ...rules.flatMap((rule) => [`-A INPUT ${rule}`, `-A FORWARD ${rule}`]),
      '',
    ].join('\n'),
  );
}

/** Returns the planned edits of INPUT. Those of FORWARD must be the same. */
function editsOfInput(view: IptablesView, ...changes: readonly Change[]): string[] {
  const lines = backend.plan(4, view, changes)?.input.split('\n') ?? [];
  const edits = (chain: string): string[] =>
    lines.flatMap((line) => {
      const [action, where, ...rest] = line.split(' ');
      return where === chain ? [[action, ...rest].join(' ')] : [];
    });
  expect(edits('FORWARD')).toEqual(edits('INPUT'));
  return edits('INPUT');
}

describe('the command', () => {
  test('changes both chains at once and then lists the rules', () => {
    expect(backend.plan(4, listing(), [blocked('203.0.113.9')])).toEqual({
      program: 'iptables-restore',
      args: ['-w', '10', '--noflush'],
      input: [
        '*filter',
        `-I INPUT 1 ${DROP}`,
        `-I FORWARD 1 ${DROP}`,
        'COMMIT',
        '*filter',
        '-S',
        'COMMIT',
        '',
      ].join('\n'),
    });
  });

  test('that only looks changes nothing', () => {
    expect(look).toEqual({
      effect: 'look',
      program: 'ip6tables-restore',
      args: ['-w', '10', '--noflush'],
      input: '*filter\n-S\nCOMMIT\n',
    });
  });

  test.each([
    ['auto', 4, 'iptables-restore'],
    ['auto', 6, 'ip6tables-restore'],
    ['nft', 4, 'iptables-nft-restore'],
    ['nft', 6, 'ip6tables-nft-restore'],
    ['legacy', 4, 'iptables-legacy-restore'],
    ['legacy', 6, 'ip6tables-legacy-restore'],
  ] as const)('of variant %s and family %i is %s', (variant, family, program) => {
    const other = createIptables({ ...OPTIONS, variant });
    expect(other.plan(family, other.nothingKnown, [])?.program).toBe(program);
  });

  test('never empties the table', () => {
    const commands = [look, backend.plan(4, listing(DROP), [released('203.0.113.9')])];
    for (const command of commands) {
      expect(command?.args).toContain('--noflush');
      expect(command?.input).not.toMatch(/^:|^-F|^-X/m);
    }
  });
});

describe('the edits of each chain for a block are', () => {
  test.each([
    ['an insertion where there is nothing', [], [`-I 1 ${DROP}`]],
    ['none where the rule is first', [DROP], null],
    ['none where only plain drops come before', ['-s 192.0.2.1/32 -j DROP', DROP], null],
    [
      'a move to the front if another rule comes before',
      ['-s 203.0.113.0/24 -j ACCEPT', DROP],
      [`-D ${DROP}`, `-I 1 ${DROP}`],
    ],
    [
      'a move to the front if a jump comes before, whose chain can accept',
      ['-j f2b-sshd', DROP],
      [`-D ${DROP}`, `-I 1 ${DROP}`],
    ],
    [
      'an insertion if a rule for the address jumps to a chain whose name begins with DROP',
      ['-s 203.0.113.9/32 -j DROPLOG'],
      [`-I 1 ${DROP}`],
    ],
    [
      'one rule instead of several copies',
      [DROP, DROP, DROP],
      [`-D ${DROP}`, `-D ${DROP}`, `-D ${DROP}`, `-I 1 ${DROP}`],
    ],
  ])('%s', (_, rules, edits) => {
    const view = listing(...rules);
    if (edits === null) expect(backend.plan(4, view, [blocked('203.0.113.9')])).toBeNull();
    else expect(editsOfInput(view, blocked('203.0.113.9'))).toEqual(edits);
  });
});

describe('the edits of each chain for a release are', () => {
  test('a removal of each copy', () => {
    expect(editsOfInput(listing(DROP, DROP), released('203.0.113.9'))).toEqual([
      `-D ${DROP}`,
      `-D ${DROP}`,
    ]);
  });

  test('none if there is no rule', () => {
    expect(backend.plan(4, listing(), [released('203.0.113.9')])).toBeNull();
  });

  test.each([
    '-s 203.0.113.9/32 -p tcp -m tcp --dport 22 -j DROP',
    '-s 203.0.113.9/32 -i eth0 -j DROP',
    '-s 203.0.113.9/32 -j REJECT --reject-with icmp-port-unreachable',
    '-s 203.0.113.9/32 -j ACCEPT',
    '! -s 203.0.113.9/32 -j DROP',
    '-d 203.0.113.9/32 -j DROP',
    '-s 203.0.113.9/32 -m comment --comment "ours" -j DROP',
    '-s 203.0.113.0/24 -j DROP',
    '-s 203.0.113.90/32 -j DROP',
    '-s 203.0.113.9/32 -j DROPLOG',
    '-j DROP',
  ])('none for a foreign rule, %s', (rule) => {
    expect(backend.plan(4, listing(rule), [released('203.0.113.9')])).toBeNull();
  });
});

test('several changes are made with one command', () => {
  const view = listing(DROP);
  expect(editsOfInput(view, released('203.0.113.9'), blocked('198.51.100.0/24'))).toEqual([
    `-D ${DROP}`,
    '-I 1 -s 198.51.100.0/24 -j DROP',
  ]);
});

test('an IPv6 rule is recognized in the form that ip6tables prints', () => {
  const view = known(
    '-P INPUT ACCEPT\n-P FORWARD ACCEPT\n-A INPUT -s ::192.0.2.4/128 -j DROP\n-A FORWARD -s ::192.0.2.4/128 -j DROP\n',
  );
  expect(backend.plan(6, view, [blocked('::c000:204')])).toBeNull();
});

describe('a chain', () => {
  const withDocker = known(
    '-P INPUT ACCEPT\n-P FORWARD ACCEPT\n-N DOCKER-USER\n-A DOCKER-USER -j RETURN\n',
  );

  test('that is optional gets the rule if it exists', () => {
    const input = backend.plan(4, withDocker, [blocked('203.0.113.9')])?.input;
    expect(input).toContain(`-I DOCKER-USER 1 ${DROP}`);
    expect(withDocker.extras).toEqual(['DOCKER-USER']);
  });

  test('that is optional is left out if it is missing', () => {
    expect(backend.plan(4, listing(), [blocked('203.0.113.9')])?.input).not.toContain('DOCKER');
    expect(listing().extras).toEqual([]);
  });

  test('that must exist is used even if it is missing, so that the command fails', () => {
    const view = known('-P INPUT ACCEPT\n');
    expect(backend.plan(4, view, [blocked('203.0.113.9')])?.input).toContain(
      `-I FORWARD 1 ${DROP}`,
    );
  });

  test('of another program is left alone, even with a rule like ours', () => {
    const view = known(`-P INPUT ACCEPT\n-P FORWARD ACCEPT\n-N f2b-sshd\n-A f2b-sshd ${DROP}\n`);
    expect(backend.plan(4, view, [released('203.0.113.9')])).toBeNull();
  });
});

describe('a listing', () => {
  test.each(['', 'Segmentation fault\n', '# Warning: iptables-legacy tables present\n'])(
    'that names no chain (%j) throws an error',
    (output) => {
      expect(codeOf(() => known(output))).toBe('FIREWALL');
    },
  );

  test('can have comments and empty lines', () => {
    const view: View = known(
      '# Warning: iptables-legacy tables present, use iptables-legacy to see them\n\n-P INPUT ACCEPT\n',
    );
    expect(view.extras).toEqual([]);
  });

  test('of 30,000 rules is read completely', () => {
    const rules = Array.from(
      { length: 30_000 },
      (_, n) => `-A INPUT -s 198.51.${n >> 8}.${n & 255}/32 -j DROP`,
    );
    const view = known(['-P INPUT ACCEPT', '-P FORWARD ACCEPT', ...rules].join('\n'));
    expect(backend.plan(4, view, [blocked('203.0.113.9')])).not.toBeNull();
  });
});

describe('if the state is trusted', () => {
  test('a release expects one rule in each chain, including the optional chains last seen', () => {
    const changes = [released('203.0.113.9')];
    const view = backend.expect(changes, ['DOCKER-USER']);
    expect(backend.plan(4, view, changes)?.input.match(/^-D \S+/gm)).toEqual([
      '-D INPUT',
      '-D FORWARD',
      '-D DOCKER-USER',
    ]);
  });

  test('a block expects no rule', () => {
    const changes = [blocked('203.0.113.9')];
    expect(editsOfInput(backend.expect(changes, []), ...changes)).toEqual([`-I 1 ${DROP}`]);
  });
});

describe('a snapshot', () => {
  const saved = [
    '# Generated by iptables-save v1.8.9 (nf_tables)',
    '*filter',
    ':INPUT ACCEPT [12:3400]',
    ':FORWARD DROP [0:0]',
    ':f2b-sshd - [0:0]',
    '[5:300] -A INPUT -s 203.0.113.9/32 -j DROP',
    '[0:0] -A INPUT -p tcp -m tcp --dport 22 -j f2b-sshd',
    '[7:420] -A FORWARD -s 203.0.113.9/32 -j DROP',
    '[9:540] -A f2b-sshd -s 203.0.113.10/32 -j DROP',
    'COMMIT',
    '# Completed',
    '',
  ].join('\n');
  const { held, rules, policies } = backend.readSnapshot([saved]);

  test('adds up the counters of an address in our chains only', () => {
    expect([...held.values()]).toEqual([
      { address: addressOf('203.0.113.9'), chains: ['INPUT', 'FORWARD'], packets: 12, bytes: 720 },
    ]);
  });

  test('has every rule of the table in order and the policies', () => {
    expect(rules.map(({ chain, spec }) => `${chain} ${spec}`)).toEqual([
      'INPUT -s 203.0.113.9/32 -j DROP',
      'INPUT -p tcp -m tcp --dport 22 -j f2b-sshd',
      'FORWARD -s 203.0.113.9/32 -j DROP',
      'f2b-sshd -s 203.0.113.10/32 -j DROP',
    ]);
    expect(policies.get('FORWARD')).toBe('DROP');
  });

  test.each([
    ['auto', 4, 'iptables-save'],
    ['legacy', 6, 'ip6tables-legacy-save'],
  ] as const)('of variant %s and family %i is taken with %s', (variant, family, program) => {
    expect(createIptables({ ...OPTIONS, variant }).snapshot(family)).toEqual([
      { program, args: ['-c', '-t', 'filter'], input: '' },
    ]);
  });
});
