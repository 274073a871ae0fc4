// Compares the lines of active-responses.log with what the rule engines decode and what Wazuh's own tests look for.
import { describe, expect, test } from '@jest/globals';
import type { Outcome, Verb } from '../../../src/model/ban.ts';
import { UTC, type Zone } from '../../../src/system/zone.ts';
import { parseJson } from '../../../src/wazuh/json.ts';
import {
  linesOf,
  missingFrom,
  wazuhLines,
  type Entry,
  type Exchange,
  type LogFormat,
} from '../../../src/wazuh/response-lines.ts';
import { ossecRule, wazuhMessageRule, wazuhRule } from '../../support/engines.ts';
import { addressOf, NOON_MS } from '../support/workshop.ts';

const BRAZIL: Zone = {
  first: { offsetSeconds: -10_800, abbreviation: '-03' },
  transitions: [],
  rule: undefined,
};
const FORMAT: LogFormat = {
  kind: 'ossec',
  home: '/var/ossec',
  name: 'firewall-drop',
  programName: 'firewall-drop.sh',
  zone: UTC,
  addressFields: ['data.srcip', 'data.src_ip'],
  wazuh5Fields: ['source.ip'],
};
const SHIPPED =
  'Sun May  7 12:45:26 UTC 2024 /var/ossec/active-response/bin/firewall-drop.sh add - 162.216.47.32 1620563486.6306696 31151';

function outcome(verb: Verb = 'add', text = '203.0.113.9'): Outcome {
  const alertRef = { alertId: '1620563486.6306696', ruleId: '31151' };
  return { verb, address: addressOf(text), alertRef };
}

function ossecLine(entry: Entry, format: LogFormat, nowMs: number): string {
  return linesOf([entry], null, { ...format, kind: 'ossec' }, nowMs).join('');
}

function bare(line: string): string {
  expect(line.endsWith('\n')).toBe(true);
  expect(line.slice(0, -1)).not.toMatch(/[\p{Cc}\u2028\u2029]/u);
  return line.slice(0, -1);
}

describe('the rule engines in these tests give the observed result for', () => {
  test.each([
    ['the shipped line', SHIPPED, 601, 601],
    ['a delete', SHIPPED.replace('add', 'delete'), 602, 602],
    ['a name without .sh', SHIPPED.replace('.sh', ''), 600, 601],
    ['IPv6', SHIPPED.replace('162.216.47.32', '2001:db8::9'), 601, 601],
    ['a user', SHIPPED.replace(' - ', ' root '), 600, 601],
    [
      'no alert',
      SHIPPED.replace('1620563486.6306696 31151', '(from_the_server) (no_rule_id)'),
      600,
      601,
    ],
    ['no ids', SHIPPED.replace(' 1620563486.6306696 31151', ''), 600, 607],
    ['another verb', SHIPPED.replace('add', 'failed'), 600, 607],
    ['zone -03', SHIPPED.replace('UTC', '-03'), 601, 601],
    ['a 12-hour clock', SHIPPED.replace('UTC', 'PM UTC'), null, null],
    ['a relative path', SHIPPED.replace('/var/ossec/', ''), null, null],
    ['JavaScript’s own zone', SHIPPED.replace('UTC', 'GMT+2'), null, null],
  ])('%s', (_, line, ossec, wazuh) => {
    expect([ossecRule(line), wazuhRule(line)]).toEqual([ossec, wazuh]);
  });
});

describe('a line in OSSEC’s format', () => {
  test('is exactly the line that firewall-drop.sh wrote', () => {
    const line = ossecLine(outcome(), FORMAT, Date.UTC(2024, 4, 7, 12, 45, 26));
    expect(line).toBe(
      'Tue May  7 12:45:26 UTC 2024 /var/ossec/active-response/bin/firewall-drop.sh add - 203.0.113.9 1620563486.6306696 31151\n',
    );
  });

  test.each([
    ['add', 601, 601],
    ['delete', 602, 602],
    ['kept', 600, 607],
    ['reapplied', 600, 607],
    ['failed', 600, 607],
    ['refused', 600, 607],
  ] as const)('with `%s` raises %i in OSSEC and %i in Wazuh', (verb, ossec, wazuh) => {
    const line = bare(ossecLine(outcome(verb), FORMAT, NOON_MS));
    expect([ossecRule(line), wazuhRule(line)]).toEqual([ossec, wazuh]);
  });

  test.each<[string, Outcome, Partial<LogFormat>]>([
    ['IPv6', outcome('add', '2001:db8::9'), {}],
    ['a network', outcome('add', '203.0.113.0/24'), {}],
    ['a zone without letters', outcome(), { zone: BRAZIL }],
    ['an agent elsewhere', outcome(), { home: '/opt/wazuh' }],
  ])('is decoded with %s', (_, what, format) => {
    const line = bare(ossecLine(what, { ...FORMAT, ...format }, NOON_MS));
    expect([ossecRule(line), wazuhRule(line)]).toEqual([601, 601]);
  });

  test('stays one line if the path has control characters', () => {
    const home = '/var/ossec\n/var/ossec\u001b[2J';
    expect(bare(ossecLine(outcome(), { ...FORMAT, home }, NOON_MS))).toContain(
      '/var/ossec\\u000a/var/ossec\\u001b[2J/active-response/bin/',
    );
  });

  test('for a refusal without an address raises 607 in Wazuh and no alert about a block', () => {
    const entry = { ...outcome('refused'), address: null };
    const line = bare(ossecLine(entry, FORMAT, NOON_MS));
    expect(line).toMatch(/firewall-drop\.sh refused - - 1620563486\.6306696 31151$/);
    expect([ossecRule(line), wazuhRule(line)]).toEqual([600, 607]);
  });
});

describe('the configured format', () => {
  const kinds = (kind: LogFormat['kind']): string[] =>
    linesOf([outcome()], null, { ...FORMAT, kind }, NOON_MS).map((line) =>
      line.startsWith('Tue') ? 'ossec' : 'wazuh',
    );

  test.each<[LogFormat['kind'], string[]]>([
    ['ossec', ['ossec']],
    ['wazuh', ['wazuh', 'wazuh', 'wazuh']],
    ['both', ['ossec', 'wazuh', 'wazuh', 'wazuh']],
  ])('`%s` gives the lines %j', (kind, lines) => {
    expect(kinds(kind)).toEqual(lines);
  });

  test.each<Verb>(['add', 'delete', 'kept', 'reapplied', 'failed', 'refused'])(
    '`wazuh` applies to every line of `%s`, with and without an address',
    (verb) => {
      for (const address of [addressOf('203.0.113.9'), null]) {
        const entry = { ...outcome(verb), address };
        for (const line of linesOf([entry], null, { ...FORMAT, kind: 'wazuh' }, NOON_MS)) {
          expect(line).toMatch(/^2024\/05\/07 12:00:00 active-response\/bin\/firewall-drop: /);
        }
      }
    },
  );
});

const MESSAGE4 =
  '{"version":1,"origin":{"name":"node01","module":"wazuh-execd"},"command":"add","parameters":{"extra_args":[],"alert":{"id":"1620563486.6306696","rule":{"id":"31151"},"data":{"srcip":"203.0.113.9","1":"x"},"full_log":"\\n\\u001b[2J"},"program":"active-response/bin/firewall-drop"}}';
const DELETE4 = MESSAGE4.replace('"command":"add"', '"command":"delete"');
const MESSAGE5 =
  '{"wazuh":{"active_response":{"name":"block-ip","type":"stateful"}},"source":{"ip":"203.0.113.9"},"command":"enable"}';
const DISABLE5 = MESSAGE5.replace('"enable"', '"disable"');
const KEYS = '{"version":1,"command":"check_keys","parameters":{"keys":["203.0.113.9"]}}';

function exchangeOf(message: string, command: 'continue' | 'abort' | null = null): Exchange {
  if (command === null) return { message, keyMessage: '', answer: null };
  const text = message.replace(/"(?:add|enable)"/, `"${command}"`);
  return { message, keyMessage: KEYS, answer: { command, text } };
}

function texts(entry: Parameters<typeof wazuhLines>[0], exchange: Exchange | null): string[] {
  return wazuhLines(entry, exchange, FORMAT, NOON_MS).map((line) =>
    bare(line).replace('2024/05/07 12:00:00 active-response/bin/firewall-drop: ', ''),
  );
}

function answered(message: string, command: 'continue' | 'abort'): string {
  return exchangeOf(message, command).answer?.text ?? '';
}

describe('Wazuh’s own tests find', () => {
  test.each<[string, Verb, Exchange, string[]]>([
    [
      'a block of Wazuh 4',
      'add',
      exchangeOf(MESSAGE4, 'continue'),
      ['Starting', MESSAGE4, KEYS, answered(MESSAGE4, 'continue'), 'Ended'],
    ],
    [
      'a block of Wazuh 5',
      'add',
      exchangeOf(MESSAGE5, 'continue'),
      ['Starting', MESSAGE5, KEYS, answered(MESSAGE5, 'continue'), 'Ended'],
    ],
    [
      'an abort',
      'add',
      exchangeOf(MESSAGE4, 'abort'),
      ['Starting', MESSAGE4, KEYS, answered(MESSAGE4, 'abort'), 'Aborted'],
    ],
    [
      'an abort after which the block had to be repeated',
      'reapplied',
      exchangeOf(MESSAGE5, 'abort'),
      ['Starting', MESSAGE5, KEYS, answered(MESSAGE5, 'abort'), 'Aborted'],
    ],
    ['an unblock of Wazuh 4', 'delete', exchangeOf(DELETE4), ['Starting', DELETE4, 'Ended']],
    ['an unblock of Wazuh 5', 'delete', exchangeOf(DISABLE5), ['Starting', DISABLE5, 'Ended']],
  ])('the messages as received and the end of %s, in this order', (_, verb, exchange, expected) => {
    expect(texts(outcome(verb), exchange)).toEqual(expected);
  });

  test('the prefix of local time and the relative path', () => {
    expect(wazuhLines(outcome(), null, { ...FORMAT, zone: BRAZIL }, NOON_MS)[0]).toBe(
      '2024/05/07 09:00:00 active-response/bin/firewall-drop: Starting\n',
    );
  });

  test.each([
    'Cannot read input from stdin',
    'Invalid input format',
    "Cannot read 'command' from json",
    "Invalid value of 'command'",
    "Cannot read 'srcip' from data",
    "Cannot read 'source.ip' from data",
  ] as const)('the text “%s” last, after the start and what was read', (problem) => {
    const entry = { ...outcome('refused'), address: null, problem };
    expect(texts(entry, exchangeOf(MESSAGE4))).toEqual([
      'Starting',
      JSON.stringify(MESSAGE4),
      problem,
    ]);
    expect(texts(entry, exchangeOf(''))).toEqual(['Starting', problem]);
  });

  test('the keys between the message and the text about the answer', () => {
    const entry = { ...outcome('failed'), problem: 'Invalid input format' } as const;
    const exchange = { ...exchangeOf(MESSAGE4), keyMessage: KEYS };
    expect(texts(entry, exchange)).toEqual([
      'Starting',
      JSON.stringify(MESSAGE4),
      KEYS,
      'Invalid input format',
    ]);
  });
});

describe('a line in Wazuh’s format', () => {
  const rulesOf = (what: Outcome, exchange: Exchange | null): unknown[] =>
    wazuhLines(what, exchange, FORMAT, NOON_MS)
      .map((line) => wazuhMessageRule(bare(line)))
      .filter((raised) => raised !== null);

  test.each<[string, Verb, Exchange | null, number]>([
    ['a block that execd asked for', 'add', exchangeOf(MESSAGE4, 'continue'), 651],
    ['a block without a message', 'add', null, 651],
    ['an unblock that execd asked for', 'delete', exchangeOf(DELETE4), 652],
    ['an expiry', 'delete', null, 652],
  ])('raises one alert that names the address, for %s', (_, verb, exchange, rule) => {
    expect(rulesOf(outcome(verb), exchange)).toEqual([[rule, '203.0.113.9']]);
  });

  test.each([
    [
      'another address before its data',
      '"alert":{',
      '"alert":{"x":{"data":{"srcip":"192.0.2.6"}},',
    ],
    ['a second command', '"parameters"', '"command":"delete","parameters"'],
    ['a second address', '"1":"x"', '"srcip":"192.0.2.6"'],
    ['a tab between two values', '"parameters"', '\t"parameters"'],
  ])('raises no other alert for a message with %s', (_, before, after) => {
    const message = MESSAGE4.replace(before, after);
    expect(message).not.toBe(MESSAGE4);
    expect(rulesOf(outcome(), exchangeOf(message))).toEqual([[651, '203.0.113.9']]);
  });

  test('keeps execd’s notation of the address', () => {
    const message = MESSAGE4.replace('203.0.113.9', '::ffff:203.0.113.9');
    expect(rulesOf(outcome(), exchangeOf(message))).toEqual([[651, '::ffff:203.0.113.9']]);
  });

  test.each(['failed', 'refused', 'kept'] as const)(
    'with `%s` repeats the message as quoted text, which raises no alert',
    (verb) => {
      const lines = texts(outcome(verb), exchangeOf(MESSAGE4));
      expect(lines.slice(0, 3)).toEqual([
        'Starting',
        JSON.stringify(MESSAGE4),
        `${verb} 203.0.113.9 1620563486.6306696 31151`,
      ]);
      expect(rulesOf(outcome(verb), exchangeOf(MESSAGE4))).toEqual([]);
    },
  );

  test('quotes only a part of a long message', () => {
    const [, quote = ''] = texts(outcome('refused'), exchangeOf('x'.repeat(200_000)));
    expect(quote).toHaveLength(4098);
  });

  test('stays one line of JSON if the message has control characters', () => {
    const message = MESSAGE4.replace('node01', 'node\u009b31m\u2028');
    const [, line = ''] = texts(outcome(), exchangeOf(message));
    expect(line).toContain('node\\u009b31m\\u2028');
    expect(() => parseJson(line)).not.toThrow();
  });
});

describe('a written line is found again', () => {
  const isFound = (lines: string, what = outcome()): boolean =>
    missingFrom(['something else', ...lines.split('\n')], [what], FORMAT).length === 0;
  const own = (verb: Verb, text?: string): string =>
    ossecLine(outcome(verb, text), FORMAT, NOON_MS);
  const written = (verb: Verb, exchange: Exchange | null, text?: string): string =>
    wazuhLines(outcome(verb, text), exchange, FORMAT, NOON_MS).join('');

  test('in OSSEC’s format, regardless of its time', () => {
    expect(isFound(own('add'))).toBe(true);
  });

  test.each([
    ['another verb', own('delete')],
    ['another address', own('add', '203.0.113.90')],
    ['another alert', own('add').replace('6306696', '6306697')],
    ['another rule', own('add').replace('31151', '31152')],
    ['half a line', own('add').slice(0, -3)],
    ['nothing', ''],
  ])('and a line with %s is not taken for it', (_, line) => {
    expect(isFound(line)).toBe(false);
  });

  test.each<[string, Verb, Exchange | null, string]>([
    ['no message', 'add', null, '203.0.113.9'],
    ['no message and a network', 'add', null, '203.0.113.0/24'],
    ['a message of Wazuh 4', 'add', exchangeOf(MESSAGE4, 'continue'), '203.0.113.9'],
    ['an abort', 'reapplied', exchangeOf(MESSAGE4, 'abort'), '203.0.113.9'],
    ['a message of Wazuh 5', 'add', exchangeOf(MESSAGE5, 'continue'), '203.0.113.9'],
    ['an unblock of Wazuh 5', 'delete', exchangeOf(DISABLE5), '203.0.113.9'],
    [
      'a message by hand, without an alert id',
      'add',
      exchangeOf(MESSAGE4.replace('"id":"1620563486.6306696",', ''), 'continue'),
      '203.0.113.9',
    ],
    [
      'an address in another notation',
      'add',
      exchangeOf(MESSAGE4.replace('203.0.113.9', '::ffff:203.0.113.9'), 'continue'),
      '203.0.113.9',
    ],
    [
      'an address in another field',
      'add',
      exchangeOf(MESSAGE4.replace('"srcip"', '"src_ip"'), 'continue'),
      '203.0.113.9',
    ],
    ['a hold of another origin', 'kept', exchangeOf(DELETE4), '203.0.113.9'],
  ])('in Wazuh’s format with %s', (_, verb, exchange, text) => {
    const lines = written(verb, exchange, text);
    expect(isFound(lines, outcome(verb, text))).toBe(true);
    expect(isFound(lines, outcome(verb, '203.0.113.77'))).toBe(false);
    expect(isFound(lines, outcome(verb === 'delete' ? 'add' : 'delete', text))).toBe(false);
  });

  test('but a failure that repeats the message is not taken for it', () => {
    expect(isFound(written('failed', exchangeOf(MESSAGE4, 'continue')))).toBe(false);
  });

  test.each(['ossec', 'wazuh'] as const)(
    'in one pass for a list of thousands, in the format `%s`',
    (kind) => {
      const list = Array.from({ length: 20_000 }, (_, n) =>
        outcome('add', `198.18.${n >> 8}.${n & 255}`),
      );
      const written = linesOf(list.slice(0, -3), null, { ...FORMAT, kind }, NOON_MS);
      const lines = written.map((line) => line.trimEnd());
      let passes = 0;
      const once = {
        [Symbol.iterator]() {
          passes += 1;
          return lines[Symbol.iterator]();
        },
      };
      expect(missingFrom(once, list, FORMAT)).toEqual(list.slice(-3));
      expect(passes).toBe(1);
    },
  );
});
