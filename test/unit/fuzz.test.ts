// Runs the fuzzer briefly with a fixed seed. `npm run fuzz` runs it for longer.
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { parseAddress } from '../../src/model/address.ts';
import { readCorpus } from '../fuzz/corpus.ts';
import { checkAddress, checkLines, checkRequest, Finding } from '../fuzz/oracle.ts';
import { Session } from '../fuzz/session.ts';
import { TARGETS, type Target } from '../fuzz/targets.ts';
import { readMessage } from '../../src/wazuh/request.ts';
import { effort } from '../support/effort.ts';

const CORPUS = join(__dirname, '../fuzz/corpus');
const SEED = 20_240_507;
const INPUTS = effort(600);
const BUSY_MS = 60;

/** Has no time limit by default, because parse times vary on a busy machine. `npm run fuzz` sets one. */
function session(
  targets: Readonly<Record<string, Target>> = TARGETS,
  longestMs = Infinity,
): Session {
  return new Session(targets, (target) => readCorpus(CORPUS, target), { seed: SEED, longestMs });
}

test('no parser accepts an invalid input of the corpus or of its mutations', () => {
  const fuzzing = session();
  expect(fuzzing.runCorpus()).toBeNull();
  expect(fuzzing.run(INPUTS)).toBeNull();
});

test('the corpus has messages that are accepted and messages that are refused', () => {
  const outcomes = readCorpus(CORPUS, 'message').map((input) => {
    return (
      readMessage(input, {
        addressFields: ['data.srcip', 'data.srcip2'],
        wazuh5Fields: ['source.ip'],
      }).address !== null
    );
  });
  expect(new Set(outcomes)).toEqual(new Set([true, false]));
});

describe('the fuzzer reports', () => {
  test.each<[string, Target, RegExp]>([
    ['an error that is not one of ours', () => void JSON.parse('{'), /JSON/],
    ['a parse that takes too long', busy, /took \d+ ms/],
  ])('%s', (_, target, message) => {
    const failure = session({ json: target }, BUSY_MS / 2).run(1);
    expect(String(failure?.error)).toMatch(message);
  });

  const address = (text: string): NonNullable<ReturnType<typeof parseAddress>> => {
    const parsed = parseAddress(text);
    if (parsed === null) throw new Error(text);
    return parsed;
  };
  const alertRef = { alertId: '1.2', ruleId: '3' };

  test.each<[string, () => void]>([
    [
      'another address',
      () => {
        checkAddress(address('192.0.2.1'), '192.0.2.2');
      },
    ],
    [
      'a command with more than an address',
      () => {
        checkAddress({ ...address('192.0.2.1'), text: '192.0.2.1 -j ACCEPT' }, '192.0.2.1');
      },
    ],
    [
      'a second line',
      () => {
        checkLines(
          { verb: 'add', address: address('192.0.2.1'), alertRef: { ...alertRef, ruleId: '3\n4' } },
          null,
        );
      },
    ],
    [
      'a control character',
      () => {
        checkRequest({
          ...readMessage(Buffer.from('{"command":"add","parameters":{}}'), {
            addressFields: [],
            wazuh5Fields: [],
          }),
          reason: '\u001b[2J',
        });
      },
    ],
  ])('%s', (_, work) => {
    expect(work).toThrow(Finding);
  });
});

function busy(): void {
  const endMs = performance.now() + BUSY_MS;
  while (performance.now() < endMs);
}
