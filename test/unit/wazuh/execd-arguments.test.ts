// Parses the arguments of ossec-execd. An attacker can have chosen the user name and the address.
import { describe, expect, test } from '@jest/globals';
import { readArguments } from '../../../src/wazuh/request.ts';
import { codeOf } from '../support/workshop.ts';

test('an add is a block with all of its fields', () => {
  expect(
    readArguments(['add', '-', '198.51.100.7', '1620563486.6306696', '31151', '/var/log/auth.log']),
  ).toEqual({
    dialect: 'ossec',
    action: 'block',
    address: expect.objectContaining({ text: '198.51.100.7' }) as unknown,
    addressTrouble: '',
    field: 'the third argument',
    passedOver: [],
    alertId: '1620563486.6306696',
    ruleId: '31151',
    timeoutSeconds: undefined,
    reason: '',
    extraArguments: [],
    facts: expect.objectContaining({ ruleId: '31151', level: null, groups: [] }) as unknown,
    addressProblem: "Cannot read 'srcip' from data",
  });
});

test('a delete is an unblock', () => {
  expect(readArguments(['delete', '-', '198.51.100.7', '1.2', '3']).action).toBe('unblock');
});

test('an add by hand from the manager is valid without ids', () => {
  const request = readArguments(['add', '-', '198.51.100.7', '(from_the_server)', '(no_rule_id)']);
  expect(request).toMatchObject({ alertId: null, ruleId: null });
  expect(request.address?.text).toBe('198.51.100.7');
});

describe('there is no address, but a reason, for', () => {
  test.each([
    '-F.',
    ';reboot',
    '$(reboot)',
    '0.0.0.0/0',
    '198.51.100.7/32',
    '198.51.100.7\n192.0.2.1',
    'attacker.example',
    '',
    '-',
  ])('%j', (ip) => {
    const request = readArguments(['add', '-', ip, '1.2', '3']);
    expect(request.address).toBeNull();
    expect(request.addressTrouble).not.toBe('');
  });

  test('a missing argument', () => {
    expect(readArguments(['add', '-']).address).toBeNull();
  });
});

test('the user name is never used as the address', () => {
  expect(readArguments(['add', '192.0.2.1', '198.51.100.7', '1.2', '3']).address?.text).toBe(
    '198.51.100.7',
  );
});

test.each([[[]], [['']], [['Add', '-', '198.51.100.7']], [['addx', '-', '198.51.100.7']]])(
  '%j is no action',
  (args) => {
    expect(codeOf(() => readArguments(args))).toBe('BAD_DATA');
  },
);
