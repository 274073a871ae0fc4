// Tells who started the program. An attacker who chooses a user name must not reach the command line, which can do more.
import { describe, expect, test } from '@jest/globals';
import { readInvocation } from '../../../src/wazuh/invocation.ts';

const IDS = ['1620563486.6306696', '31151'];
const BY_HAND = ['(from_the_server)', '(no_rule_id)'];

describe('without arguments', () => {
  test('a start with a pipe is wazuh-execd’s', () => {
    expect(readInvocation([], false)).toBe('wazuh');
  });

  test('a start at a terminal is a person’s', () => {
    expect(readInvocation([], true)).toBe('command-line');
  });
});

describe('a start is ossec-execd’s', () => {
  test.each([
    [['add', '-', '198.51.100.7', ...IDS]],
    [['delete', '-', '198.51.100.7', ...IDS]],
    [['add', '-', '198.51.100.7', ...BY_HAND]],
    [['add', '-', '198.51.100.7', ...IDS, '/var/log/auth.log', 'file']],
    [['add', '-', '198.51.100.7']],
    [['add', '-', '-', ...IDS]],
    [['add', '-', '', ...IDS]],
    [['add', 'root', '198.51.100.7', ...IDS]],
    [['add', '', '198.51.100.7', ...IDS]],
  ])('with %j', (args) => {
    expect(readInvocation(args, false)).toBe('ossec');
  });

  test.each([
    '--force',
    '-h',
    '--help',
    '--',
    '--timeout',
    '192.0.2.1',
    '192.0.2.0/24',
    '0.0.0.0/0',
    '2001:db8::1',
  ])('even if the attacker’s user name is %j', (user) => {
    expect(readInvocation(['add', user, '198.51.100.7', ...IDS], false)).toBe('ossec');
    expect(readInvocation(['add', user, '198.51.100.7', ...BY_HAND], false)).toBe('ossec');
  });
});

describe('a start is a person’s', () => {
  test.each([
    [['add', '198.51.100.7']],
    [['add', '198.51.100.7', '198.51.100.8']],
    [['add', '198.51.100.0/24', '--timeout', '2h']],
    [['add', '--timeout', '2h', '198.51.100.7']],
    [['delete', '2001:db8::9', '198.51.100.7', '198.51.100.8', '198.51.100.9']],
    [['add', '--reason', '1.2', '198.51.100.7']],
    [['add']],
    [['add', '-h']],
    [['list']],
    [['expire']],
    [['--version']],
    [['ADD', '-', '198.51.100.7', ...IDS]],
  ])('with %j', (args) => {
    expect(readInvocation(args, false)).toBe('command-line');
    expect(readInvocation(args, true)).toBe('command-line');
  });
});
