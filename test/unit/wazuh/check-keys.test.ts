// The key exchange: one line is sent, one line is read, and nothing is blocked without a valid answer.
import { describe, expect, test } from '@jest/globals';
import { exchangeKeys, keyMessageFor, type Answer } from '../../../src/wazuh/check-keys.ts';
import { problemOf } from '../../../src/wazuh/request.ts';
import { addressOf, codeOf } from '../support/workshop.ts';

const KEY_LINE = keyMessageFor('firewall-drop', addressOf('198.51.100.7'));

function answerOf(command: unknown): string {
  return JSON.stringify({
    version: 1,
    origin: { name: 'node01', module: 'wazuh-execd' },
    command,
    parameters: {},
  });
}

function exchange(line: string | null | Error, remainingMs = 1000): Answer {
  const reader = {
    readLine() {
      if (line instanceof Error) throw line;
      return line === null ? null : Buffer.from(line);
    },
  };
  const deadline = { remainingMs: () => remainingMs };
  return exchangeKeys(KEY_LINE, { reader, write: () => undefined, deadline });
}

describe('the keys', () => {
  test('are the line that execd reads', () => {
    expect(KEY_LINE).toBe(
      '{"version":1,"origin":{"name":"firewall-drop","module":"active-response"},"command":"check_keys","parameters":{"keys":["198.51.100.7"]}}',
    );
  });

  test('are the same for every notation of one address', () => {
    expect(keyMessageFor('firewall-drop', addressOf('::ffff:198.51.100.7'))).toBe(KEY_LINE);
  });

  test('fit into one read of execd, even with the longest name and address', () => {
    const longest = addressOf('2001:db8:1111:2222:3333:4444:5555:6666');
    expect(keyMessageFor('x'.repeat(64), longest).length).toBeLessThan(8191);
  });

  test('are written once, in one piece and with a newline', () => {
    const written: string[] = [];
    const reader = { readLine: () => Buffer.from(answerOf('continue')) };
    const deadline = { remainingMs: () => 1000 };
    exchangeKeys(KEY_LINE, { reader, write: (text) => written.push(text), deadline });
    expect(written).toEqual([`${KEY_LINE}\n`]);
  });
});

describe('the answer', () => {
  test.each(['continue', 'abort'])('can be %s', (command) => {
    expect(exchange(answerOf(command))).toEqual({
      command,
      text: answerOf(command),
    });
  });

  test.each([
    ['nothing', ''],
    ['no JSON', 'continue'],
    ['a list', '["continue"]'],
    ['another word', answerOf('add')],
    ['a list of words', answerOf(['continue'])],
    ['capitals', answerOf('CONTINUE')],
    ['the word elsewhere', '{"parameters":{"command":"continue"}}'],
    ['two answers on one line', `${answerOf('continue')}${answerOf('abort')}`],
  ])('that is %s blocks nothing', (_, line) => {
    expect(codeOf(() => exchange(line))).toBe('HANDSHAKE');
  });

  test('is the first of two in one object', () => {
    expect(exchange('{"command":"abort","command":"continue"}').command).toBe('abort');
  });
});

test.each([
  ['an empty line', '', 'Invalid input format'],
  ['no JSON', 'continue', 'Invalid input format'],
  ['a list', '["continue"]', 'Invalid input format'],
  ['no command', '{}', "Cannot read 'command' from json"],
  ['a command that is not a string', answerOf(['continue']), "Cannot read 'command' from json"],
  ['another command', answerOf('add'), "Invalid value of 'command'"],
  ['nothing', null, 'Cannot read input from stdin'],
])('an answer that is %s has the problem that Wazuh’s own program logs', (_, line, problem) => {
  try {
    exchange(line);
  } catch (error) {
    expect(problemOf(error)).toBe(problem);
  }
  expect.assertions(1);
});

describe('execd', () => {
  test('that has exited is distinguished from one that is silent', () => {
    expect(() => exchange(null)).toThrow('exited without an answer');
    expect(() => exchange(null, 0)).toThrow('did not answer in time');
  });

  test('whose answer is too long is an error of the exchange', () => {
    expect(codeOf(() => exchange(new Error('the line is longer than 5 bytes')))).toBe('HANDSHAKE');
  });

  test('that does not read makes the exchange fail', () => {
    const asked: string[] = [];
    const work = (): Answer =>
      exchangeKeys(KEY_LINE, {
        reader: { readLine: () => (asked.push('read'), null) },
        write: () => {
          throw new Error('EPIPE');
        },
        deadline: { remainingMs: () => 1000 },
      });
    expect(codeOf(work)).toBe('HANDSHAKE');
    expect(asked).toEqual([]);
  });
});
