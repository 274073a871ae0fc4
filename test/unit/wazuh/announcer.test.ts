// Telling the log: in the configured format, once, and without ever being a reason to stop.
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Outcome, Verb } from '../../../src/model/ban.ts';
import type { AppError } from '../../../src/model/errors.ts';
import { UTC } from '../../../src/system/zone.ts';
import { LogAnnouncer } from '../../../src/wazuh/announcer.ts';
import type { LogFormat } from '../../../src/wazuh/response-log.ts';
import { addressOf, NOON_MS } from '../support/workshop.ts';

let home = '';
let troubles: AppError[] = [];
let formatAsked = 0;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'home-'));
  mkdirSync(join(home, 'logs'));
  troubles = [];
  formatAsked = 0;
});
afterEach(() => {
  rmSync(home, { recursive: true });
});

function responseLog(kind: LogFormat['kind'] = 'ossec'): LogAnnouncer {
  const format = (): LogFormat => {
    formatAsked += 1;
    return { kind, home, name: 'firewall-drop', programName: 'firewall-drop.sh', zone: UTC };
  };
  return new LogAnnouncer({
    format,
    home,
    now: () => NOON_MS,
    onTrouble: (error) => troubles.push(error),
  });
}

function outcome(verb: Verb = 'add', alertId = '1620563486.6306696'): Outcome {
  return { verb, address: addressOf('203.0.113.9'), alertRef: { alertId, ruleId: '31151' } };
}

function logged(): string[] {
  return readFileSync(join(home, 'logs/active-responses.log'), 'utf8').trimEnd().split('\n');
}

describe('a format', () => {
  test('`ossec` is one line', () => {
    responseLog('ossec').write([outcome()]);
    expect(logged()).toEqual([expect.stringMatching(/ add - 203\.0\.113\.9 /) as unknown]);
  });

  test('`wazuh` is none of that kind', () => {
    responseLog('wazuh').write([outcome()]);
    expect(logged().join('\n')).not.toContain(' add - ');
    expect(logged().join('\n')).toContain('"command":"add"');
  });

  test('`both` is both', () => {
    responseLog('both').write([outcome()]);
    expect(logged().join('\n')).toContain(' add - 203.0.113.9 ');
    expect(logged().join('\n')).toContain('"command":"add"');
  });

  test('is not asked for before there is something to tell: that reads the zone file', () => {
    responseLog().offset();
    expect(formatAsked).toBe(0);
  });
});

describe('what was said at the door', () => {
  const message = {
    said: 'at the door',
    command: 'add',
    parameters: { alert: { id: '1620563486.6306696', data: { srcip: '203.0.113.9' } } },
  };
  const spoken = { message, keyLine: 'keys', answer: { command: 'abort' } };

  test('is repeated with the line that it led to', () => {
    const log = responseLog('wazuh');
    log.converse(outcome(), spoken);
    log.write([outcome()]);
    expect(logged().join('\n')).toContain('"said":"at the door"');
  });

  test('is not repeated with lines about others, which expired or were recovered', () => {
    const log = responseLog('wazuh');
    log.converse(outcome(), spoken);
    log.write([outcome('delete', '1.2')]);
    log.write([{ ...outcome(), address: addressOf('203.0.113.10') }]);
    expect(logged().join('\n')).not.toContain('at the door');
  });
});

test('where nothing was said, as by ossec-execd, the message is the one that Wazuh would have sent', () => {
  const log = responseLog('wazuh');
  log.converse(outcome(), { message: null, keyLine: '', answer: null });
  log.write([outcome()]);
  expect(logged()[1]).toMatch(/firewall-drop: \{.*"command":"add".*"srcip":"203\.0\.113\.9"/);
});

test('many outcomes are a line each, in their order', () => {
  responseLog().write([outcome('add', '1.1'), outcome('add', '1.2'), outcome('add', '1.3')]);
  expect(logged().map((line) => line.split(' ').at(-2))).toEqual(['1.1', '1.2', '1.3']);
});

test('nothing to tell writes nothing', () => {
  responseLog().write([]);
  expect(formatAsked).toBe(0);
});

describe.each(['ossec', 'wazuh', 'both'] as const)('in the format `%s`', (kind) => {
  test('a line that was told after a mark is known to the next run', () => {
    const mark = responseLog(kind).offset();
    responseLog(kind).write([outcome()]);
    expect(responseLog(kind).missing(mark, [outcome()])).toEqual([]);
    expect(responseLog(kind).missing(mark, [outcome('delete')])).toHaveLength(1);
  });

  test('a line that was told before a mark counts for nothing', () => {
    responseLog(kind).write([outcome()]);
    const mark = responseLog(kind).offset();
    expect(responseLog(kind).missing(mark, [outcome()])).toHaveLength(1);
  });
});

describe('trouble with the log', () => {
  test('is said, with the line that is missing, and stops nothing', () => {
    rmSync(join(home, 'logs'), { recursive: true });
    responseLog().write([outcome()]);
    expect(troubles.map((error) => error.code)).toEqual(['LOG']);
    expect(troubles[0]?.message).toContain('the line "add 203.0.113.9" could not be written');
  });

  test('when it can not be read means that a line is told once more rather than never', () => {
    const mark = responseLog().offset();
    rmSync(join(home, 'logs'), { recursive: true });
    expect(responseLog().missing(mark, [outcome()])).toHaveLength(1);
  });
});

test('a message without an address is refused in one line', () => {
  responseLog('both').tellRefusal({ alertId: '1.2', ruleId: '0' });
  expect(logged()).toEqual([expect.stringMatching(/ refused - - 1\.2 0$/) as unknown]);
});
