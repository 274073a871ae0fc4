// The lines of active-responses.log against what the rule engines were seen to decode.
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Outcome, Verb } from '../../../src/model/ban.ts';
import { UTC, type Zone } from '../../../src/system/zone.ts';
import type { LogMark } from '../../../src/state/store.ts';
import { parseJson } from '../../../src/wazuh/json.ts';
import {
  ossecLine,
  refusalLine,
  ResponseLog,
  untoldIn,
  wazuhLines,
  type Conversation,
  type LogFormat,
} from '../../../src/wazuh/response-log.ts';
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
};
const SHIPPED =
  'Sun May  7 12:45:26 UTC 2024 /var/ossec/active-response/bin/firewall-drop.sh add - 162.216.47.32 1620563486.6306696 31151';

function outcome(verb: Verb = 'add', text = '203.0.113.9'): Outcome {
  const alertRef = { alertId: '1620563486.6306696', ruleId: '31151' };
  return { verb, address: addressOf(text), alertRef };
}

function bare(line: string): string {
  expect(line.endsWith('\n')).toBe(true);
  expect(line.slice(0, -1)).not.toMatch(/[\p{Cc}\u2028\u2029]/u);
  return line.slice(0, -1);
}

describe('the engines, as these tests know them, make of', () => {
  test.each([
    ['the shipped line', SHIPPED, 601, 601],
    ['its delete', SHIPPED.replace('add', 'delete'), 602, 602],
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
  ])('%s what they were seen to make of it', (_, line, ossec, wazuh) => {
    expect([ossecRule(line), wazuhRule(line)]).toEqual([ossec, wazuh]);
  });
});

describe('a line of the OSSEC format', () => {
  test('is the one that firewall-drop.sh wrote, to the letter', () => {
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

  test('stays one line when the path has control characters', () => {
    const home = '/var/ossec\n/var/ossec\u001b[2J';
    expect(bare(ossecLine(outcome(), { ...FORMAT, home }, NOON_MS))).toContain(
      '/var/ossec\\u000a/var/ossec\\u001b[2J/active-response/bin/',
    );
  });
});

test('a refusal without an address raises 607 in Wazuh and is never taken for a block', () => {
  const line = bare(refusalLine(FORMAT, outcome().alertRef, NOON_MS));
  expect(line).toMatch(/firewall-drop\.sh refused - - 1620563486\.6306696 31151$/);
  expect([ossecRule(line), wazuhRule(line)]).toEqual([600, 607]);
});

describe('the lines of the Wazuh format', () => {
  const format: LogFormat = { ...FORMAT, kind: 'wazuh' };
  const message = parseJson(
    '{"version":1,"origin":{"name":"node01","module":"wazuh-execd"},"command":"add","parameters":{"extra_args":[],"alert":{"id":"1620563486.6306696","data":{"srcip":"203.0.113.9"},"full_log":"\\n\\u001b[2J\\u009b31m"},"program":"active-response/bin/firewall-drop"}}',
  );
  const spoken: Conversation = {
    message,
    keyLine: '{"command":"check_keys"}',
    answer: parseJson('{"command":"continue"}'),
  };
  const linesOf = (what: Outcome, conversation: Conversation | null): string[] =>
    wazuhLines(what, conversation, format, NOON_MS).map(bare);
  const texts = (lines: readonly string[]): string[] =>
    lines.map((line) => line.replace(/^.*?: /, ''));

  test('are prefixed with local time and the relative path', () => {
    expect(linesOf(outcome(), null)[0]).toBe(
      '2024/05/07 12:00:00 active-response/bin/firewall-drop: Starting',
    );
    expect(wazuhLines(outcome(), null, { ...format, zone: BRAZIL }, NOON_MS)[0]).toMatch(
      /^2024\/05\/07 09:00:00 /,
    );
  });

  test('tell the whole conversation in order', () => {
    const told = texts(linesOf(outcome(), spoken));
    expect(told).toEqual([
      'Starting',
      expect.stringMatching(/^\{"version":1,.*"command":"add"/) as unknown,
      '{"command":"check_keys"}',
      '{"command":"continue"}',
      'Ended',
    ]);
  });

  test.each<[string, Conversation | null, Verb, number]>([
    ['a block that was asked for by a message', spoken, 'add', 651],
    ['a block without a message', null, 'add', 651],
    ['an expiry', null, 'delete', 652],
  ])('raise one alert that names the address, for %s', (_, conversation, verb, rule) => {
    const rules = linesOf(outcome(verb), conversation).flatMap((line) => {
      const raised = wazuhMessageRule(line);
      return raised === null ? [] : [raised];
    });
    expect(rules).toEqual([[rule, '203.0.113.9']]);
  });

  test.each([
    [
      'another address before the alert’s data',
      '"rule":{"data":{"srcip":"192.0.2.66"}},',
      'add',
      651,
    ],
    ['a command of its own', '"rule":{"command":"delete"},', 'delete', 652],
  ] as const)('raise no false alert by an alert with %s', (_, extra, verb, rule) => {
    const text = JSON.stringify(message).replace('"alert":{', `"alert":{${extra}`);
    const rules = linesOf(outcome(verb), { ...spoken, message: parseJson(text) })
      .map(wazuhMessageRule)
      .filter((raised) => raised !== null);
    expect(rules).toEqual([[rule, '203.0.113.9']]);
  });

  test.each(['failed', 'refused', 'kept', 'reapplied'] as const)(
    'raise no 651 for `%s`, whatever the message said',
    (verb) => {
      const lines = linesOf(outcome(verb), spoken);
      expect(lines).toHaveLength(1);
      expect(lines.map(wazuhMessageRule)).toEqual([null]);
    },
  );

  test('stay lines when the message has control characters', () => {
    const line = linesOf(outcome(), spoken)[1] ?? '';
    expect(line).toContain('\\u009b31m');
    expect(() => parseJson(line.replace(/^.*?: /, ''))).not.toThrow();
  });
});

describe('whether a line was told is known', () => {
  const told = (line: string, what = outcome(), format = FORMAT): boolean =>
    untoldIn(['something else', ...line.split('\n')], [what], format).length === 0;
  const own = (verb: Verb, text?: string): string =>
    ossecLine(outcome(verb, text), FORMAT, NOON_MS);

  test('from the line itself, whenever it was written', () => {
    expect(told(own('add'))).toBe(true);
  });

  test.each([
    ['another verb', own('delete')],
    ['another address', own('add', '203.0.113.90')],
    ['another alert', own('add').replace('6306696', '6306697')],
    ['another rule', own('add').replace('31151', '31152')],
    ['half a line', own('add').slice(0, -3)],
    ['nothing', ''],
  ])('and not from %s', (_, line) => {
    expect(told(line)).toBe(false);
  });

  test('in the Wazuh format too', () => {
    const lines = wazuhLines(outcome(), null, FORMAT, NOON_MS).join('');
    expect(told(lines)).toBe(true);
    expect(told(lines, outcome('delete'))).toBe(false);
  });

  test.each([
    ['an address in another notation', 'add', '::ffff:203.0.113.9', ''],
    ['a message of Wazuh 5', 'enable', '203.0.113.9', '"wazuh":{},'],
  ])('in the Wazuh format, of a message with %s', (_, command, srcip, more) => {
    const message = parseJson(
      `{${more}"command":"${command}","parameters":{"alert":{"id":"1620563486.6306696","data":{"srcip":"${srcip}"}}}}`,
    );
    const conversation = { message, keyLine: '', answer: null };
    const lines = wazuhLines(outcome(), conversation, FORMAT, NOON_MS).join('');
    expect(told(lines)).toBe(true);
  });
});

test.each(['ossec', 'wazuh'] as const)(
  'of a list of thousands what was told is found in one go, in the format `%s`',
  (kind) => {
    const list = Array.from({ length: 20_000 }, (_, n) =>
      outcome('add', `198.18.${n >> 8}.${n & 255}`),
    );
    const lines = list
      .slice(0, -3)
      .flatMap((one) =>
        kind === 'ossec' ? ossecLine(one, FORMAT, NOON_MS) : wazuhLines(one, null, FORMAT, NOON_MS),
      )
      .map((line) => line.trimEnd());
    expect(untoldIn(lines, list, FORMAT)).toEqual(list.slice(-3));
  },
);

describe('the file', () => {
  let home = '';
  let log: ResponseLog;
  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), 'home-'));
    mkdirSync(join(home, 'logs'));
    log = new ResponseLog(home);
  });
  afterEach(() => {
    rmSync(home, { recursive: true });
  });

  const textSince = (mark: LogMark | null): string =>
    Array.from(log.linesSince(mark), (line) => `${line}\n`).join('');

  test('is the agent’s', () => {
    expect(log.path).toBe(`${home}/logs/active-responses.log`);
  });

  test('gets lines at its end', () => {
    writeFileSync(log.path, 'before\n');
    log.append(['one\n', 'two\n']);
    expect(readFileSync(log.path, 'utf8')).toBe('before\none\ntwo\n');
  });

  test('gives what came after a mark', () => {
    log.append(['one\n']);
    const mark = log.mark();
    log.append(['two\n', 'three\n']);
    expect(textSince(mark)).toBe('two\nthree\n');
  });

  test('that was not there at the mark is all new', () => {
    const mark = log.mark();
    expect(mark).toBeNull();
    log.append(['one\n']);
    expect(textSince(mark)).toBe('one\n');
  });

  test('that was rotated since is searched from near its end', () => {
    log.append(['one\n']);
    const mark = log.mark();
    renameSync(log.path, `${log.path}.1`);
    log.append(['two\n']);
    expect(textSince(mark)).toBe('two\n');
  });

  test('that was emptied and written again since is searched as well', () => {
    log.append(['one\n'.repeat(100)]);
    const mark = log.mark();
    truncateSync(log.path, 0);
    appendFileSync(log.path, 'two\n');
    expect(textSince(mark)).toBe('two\n');
  });

  test('of any size is searched in bounded parts', () => {
    writeFileSync(log.path, '');
    truncateSync(log.path, 1e9);
    expect(textSince(null).length).toBeLessThanOrEqual(65_537);
  });

  test('is read whole after a mark, in parts that no line and no letter is lost between', () => {
    log.append(['before\n']);
    const mark = log.mark();
    const line = `${'ä'.repeat(499)} x\n`;
    log.append([line.repeat(9000)]);
    const lines = [...log.linesSince(mark)];
    expect(lines.length).toBe(9000);
    expect(lines.every((one) => `${one}\n` === line)).toBe(true);
  });

  test('with a line that never ends costs no more than a part of it', () => {
    writeFileSync(log.path, '');
    const mark = log.mark();
    truncateSync(log.path, 20 * 1024 * 1024);
    appendFileSync(log.path, '\nlast\n');
    const lines = [...log.linesSince(mark)];
    expect(lines.at(-1)).toBe('last');
    expect(Math.max(...lines.map((one) => one.length))).toBeLessThanOrEqual(2 * 1024 * 1024);
  });

  test('that is gone has no text', () => {
    log.append(['one\n']);
    const mark = log.mark();
    rmSync(log.path);
    expect(textSince(mark)).toBe('');
  });

  test('that is a link is neither marked, read nor written', () => {
    const target = join(home, 'target');
    writeFileSync(target, 'foreign\n');
    symlinkSync(target, log.path);
    expect(log.mark()).toBeNull();
    expect(textSince(null)).toBe('');
    expect(() => {
      log.append(['one\n']);
    }).toThrow('symbolic link');
    expect(readFileSync(target, 'utf8')).toBe('foreign\n');
  });
});
