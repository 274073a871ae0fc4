// Tests whole responses to execd: from its line to the kernel, the state and the response log.
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { NO_GROUP_POLICY } from '../../../src/config/read.ts';
import { entriesFrom, findProtection, universalEntries } from '../../../src/policy/protected.ts';
import { DEFAULT_CONFIG } from '../../../src/config/schema.ts';
import { AppError } from '../../../src/model/errors.ts';
import type { LineReader } from '../../../src/system/stdin.ts';
import type { Deadline } from '../../../src/system/wait.ts';
import { UTC } from '../../../src/system/zone.ts';
import { NO_SETTINGS } from '../../../src/wazuh/agent-config.ts';
import {
  respondToArguments,
  respondToMessage,
  type AlertContext,
} from '../../../src/wazuh/respond.ts';
import type { LogFormat } from '../../../src/wazuh/response-lines.ts';
import { ResponseLogFile } from '../../../src/wazuh/response-log.ts';
import { refuses } from '../support/kernel.ts';
import { addressOf, codeOf, NOON_MS, Workshop } from '../support/workshop.ts';

const ATTACKER = addressOf('203.0.113.9');
const IDS = '1620563486.6306696 31151';

let host: Workshop;
let home = '';
/** The steps of a run in order: `lock`, `recover`, `expire`, `write`. */
let events: string[] = [];
let written: string[] = [];
let kind: LogFormat['kind'] = 'ossec';
beforeEach(() => {
  host = new Workshop();
  home = mkdtempSync(join(tmpdir(), 'home-'));
  mkdirSync(join(home, 'logs'));
  events = [];
  written = [];
  kind = 'ossec';
});
afterEach(() => {
  rmSync(home, { recursive: true });
  host.close();
});

function context(parts: Partial<AlertContext> = {}): AlertContext {
  const { addressFields, wazuh5Fields } = DEFAULT_CONFIG.alert;
  const names = { name: 'firewall-drop', programName: 'firewall-drop.sh' };
  const format = (): LogFormat => ({
    kind,
    home,
    ...names,
    zone: UTC,
    addressFields,
    wazuh5Fields,
  });
  return {
    ...host.newRun(),
    responseLog: new ResponseLogFile({
      format,
      home,
      now: () => host.nowMs,
      onTrouble: (error) => host.warnings.push(error.message),
    }),
    place: { home, name: 'firewall-drop' },
    config: DEFAULT_CONFIG,
    deadline: { remainingMs: () => 20_000 },
    timeouts: () => [600],
    settings: () => NO_SETTINGS,
    groupPolicy: () => NO_GROUP_POLICY,
    protectionOf: (address) =>
      findProtection(address, [...universalEntries(), ...entriesFrom(['198.51.100.1'], 'gateway')]),
    lock: () => (events.push('lock'), null),
    recover: () => void events.push('recover'),
    expire: () => void events.push('expire'),
    ...parts,
  };
}

/** The input after its last newline. */
let unterminated = '';
afterEach(() => {
  unterminated = '';
});

/** The lines that execd sends; a missing line is the end of the input. */
function streams(...lines: readonly (string | Buffer)[]) {
  const left = [...lines];
  const reader: LineReader = {
    readLine() {
      const line = left.shift();
      return line === undefined ? null : Buffer.from(line as string);
    },
    rest: () => Buffer.from(unterminated),
  };
  const write = (text: string): void => {
    events.push('write');
    written.push(text);
  };
  return { reader, write };
}

function message(command: string, srcip: unknown, more: object = {}): string {
  const alert = { id: '1620563486.6306696', rule: { id: '31151' }, data: { srcip }, ...more };
  return JSON.stringify({ version: 1, command, parameters: { alert } });
}

const ANSWERS = { continue: '{"command":"continue"}', abort: '{"command":"abort"}' } as const;

function add(answer: 'continue' | 'abort', srcip = '203.0.113.9', by = context()): void {
  respondToMessage(by, streams(message('add', srcip), ANSWERS[answer]));
}

function logged(): string[] {
  try {
    const text = readFileSync(join(home, 'logs/active-responses.log'), 'utf8');
    return text
      .trimEnd()
      .split('\n')
      .map((line) => line.replace(/^.*firewall-drop\.sh /, ''));
  } catch {
    return [];
  }
}

describe('an add of Wazuh 4', () => {
  test('is blocked with a hold of wazuh, and logged', () => {
    add('continue');
    expect(host.rulesFor('203.0.113.9')).toEqual([1, 1]);
    expect(host.holders('203.0.113.9')).toEqual(['wazuh']);
    expect(logged()).toEqual([`add - 203.0.113.9 ${IDS}`]);
  });

  test('exchanges keys first, and only then waits for the lock', () => {
    add('continue');
    expect(events).toEqual(['write', 'lock', 'recover', 'expire']);
    expect(written.join('')).toContain('"keys":["203.0.113.9"]');
  });

  test('ends by itself a minute after execd’s timeout', () => {
    add('continue');
    expect(host.openStore().bans.find(ATTACKER)?.holds[0]?.expiresAtMs).toBe(NOON_MS + 660_000);
  });

  test('has no deadline if the agent has no timeout for us', () => {
    add('continue', '203.0.113.9', context({ timeouts: () => [] }));
    expect(host.openStore().bans.find(ATTACKER)?.holds[0]?.expiresAtMs).toBeNull();
  });

  test('with `abort` only moves the deadline of a blocked address', () => {
    add('continue');
    host.nowMs += 60_000;
    add('abort');
    expect(host.openStore().bans.find(ATTACKER)?.holds[0]?.expiresAtMs).toBe(NOON_MS + 720_000);
    expect(logged()).toHaveLength(1);
  });

  test('with `abort` is blocked again if the kernel has lost its rule', () => {
    add('continue');
    host.kernel.flush();
    add('abort');
    expect(host.rulesFor('203.0.113.9')).toEqual([1, 1]);
    expect(logged().at(-1)).toBe(`reapplied - 203.0.113.9 ${IDS}`);
  });

  test('with `abort` is blocked if it has no ban', () => {
    add('abort');
    expect(host.rulesFor('203.0.113.9')).toEqual([1, 1]);
    expect(logged()).toEqual([`add - 203.0.113.9 ${IDS}`]);
  });

  test('sent by hand from the manager gets ids that the rules decode', () => {
    const byHand = message('add', '203.0.113.9', { id: undefined, rule: undefined });
    respondToMessage(context(), streams(byHand, ANSWERS.continue));
    expect(logged()).toEqual(['add - 203.0.113.9 1715083200.000000 0']);
  });

  test('does not shorten a hold that another alert added during the key exchange', () => {
    const addFor = (timeout: string, meanwhile = (): void => undefined): void => {
      const alert = { id: '1.2', rule: { id: '3' }, data: { srcip: '203.0.113.9' } };
      const parameters = { extra_args: [`timeout=${timeout}`, 'keep'], alert };
      const line = JSON.stringify({ version: 1, command: 'add', parameters });
      const { reader } = streams(line, ANSWERS.continue);
      respondToMessage(context(), { reader, write: meanwhile });
    };
    addFor('10m', () => {
      addFor('2h');
    });
    expect(host.openStore().bans.find(ATTACKER)?.holds).toMatchObject([
      { origin: 'policy', expiresAtMs: NOON_MS + 7_200_000 },
    ]);
  });

  test('uses one notation of its address everywhere', () => {
    add('continue', '::ffff:203.0.113.9');
    expect(written.join('')).toContain('"keys":["203.0.113.9"]');
    expect(host.rulesFor('203.0.113.9')).toEqual([1, 1]);
    expect(logged()).toEqual([`add - 203.0.113.9 ${IDS}`]);
  });
});

describe('a delete of Wazuh 4', () => {
  test('unblocks, is logged, and writes nothing to execd, which does not read', () => {
    add('continue');
    written = [];
    respondToMessage(context(), streams(message('delete', '203.0.113.9')));
    expect(host.rulesFor('203.0.113.9')).toEqual([0, 0]);
    expect(logged().at(-1)).toBe(`delete - 203.0.113.9 ${IDS}`);
    expect(written).toEqual([]);
  });

  test('leaves the hold of a person', () => {
    add('continue');
    respondToArguments(context(), ['add', '-', '203.0.113.9', '1.2', '3']);
    respondToMessage(context(), streams(message('delete', '203.0.113.9')));
    expect(host.rulesFor('203.0.113.9')).toEqual([1, 1]);
    expect(host.holders('203.0.113.9')).toEqual(['ossec']);
  });

  test('unblocks a protected address, because that locks nobody out', () => {
    host.kernel.insert('INPUT', '-s 198.51.100.1/32 -j DROP');
    respondToMessage(context(), streams(message('delete', '198.51.100.1')));
    expect(host.kernel.rules('INPUT')).toEqual([]);
  });
});

describe('Wazuh 5', () => {
  const message5 = (command: string, response: object): string =>
    JSON.stringify({
      wazuh: { active_response: response },
      source: { ip: '203.0.113.9' },
      command,
    });

  test('sets the timeout in its message', () => {
    const line = message5('enable', { type: 'stateful', stateful_timeout: 180 });
    respondToMessage(context(), streams(line, ANSWERS.continue));
    expect(host.openStore().bans.find(ATTACKER)?.holds[0]?.expiresAtMs).toBe(NOON_MS + 240_000);
  });

  test('can block without a deadline, regardless of ar.conf', () => {
    const line = message5('enable', { type: 'stateless' });
    respondToMessage(context(), streams(line, ANSWERS.continue));
    expect(host.openStore().bans.find(ATTACKER)?.holds[0]?.expiresAtMs).toBeNull();
  });

  test('unblocks with `disable`, even if its ids differ', () => {
    const line = message5('enable', { type: 'stateful', stateful_timeout: 180 });
    respondToMessage(context(), streams(line, ANSWERS.continue));
    host.nowMs += 180_000;
    respondToMessage(context(), streams(message5('disable', { type: 'stateful' })));
    expect(host.rulesFor('203.0.113.9')).toEqual([0, 0]);
    expect(logged().map((line_) => line_.split(' ')[0])).toEqual(['add', 'delete']);
  });
});

describe('OSSEC', () => {
  test('exchanges no keys', () => {
    respondToArguments(context(), ['add', '-', '203.0.113.9', '1620563486.6306696', '31151']);
    expect(events).toEqual(['lock', 'recover', 'expire']);
    expect(logged()).toEqual([`add - 203.0.113.9 ${IDS}`]);
  });

  test('gets another 90 seconds, by which it can be late', () => {
    respondToArguments(context(), ['add', '-', '203.0.113.9', '1.2', '3']);
    expect(host.openStore().bans.find(ATTACKER)?.holds[0]).toMatchObject({
      origin: 'ossec',
      expiresAtMs: NOON_MS + 750_000,
    });
  });

  test('can add an address repeatedly: there is one rule, and one delete removes it', () => {
    for (let count = 0; count < 5; count++)
      respondToArguments(context(), ['add', '-', '203.0.113.9', '1.2', '3']);
    expect(host.rulesFor('203.0.113.9')).toEqual([1, 1]);
    respondToArguments(context(), ['delete', '-', '203.0.113.9', '1.2', '3']);
    expect(host.rulesFor('203.0.113.9')).toEqual([0, 0]);
  });
});

describe('a protected address', () => {
  test.each(['198.51.100.1', '::ffff:198.51.100.1', '127.0.0.1', '::1', '0.0.0.0', '224.0.0.1'])(
    '%s is refused before anything is sent to execd, with one line and no rule',
    (text) => {
      expect(
        codeOf(() => {
          add('continue', text);
        }),
      ).toBe('REFUSED');
      expect(written).toEqual([]);
      expect(host.kernel.commands).toEqual([]);
      expect(host.openStore().bans.list()).toEqual([]);
      expect(logged()).toEqual([expect.stringMatching(/^refused - \S+ /) as unknown]);
    },
  );

  test('is recorded in history with the origin and the reason of its refusal', () => {
    expect(
      codeOf(() => {
        add('continue', '198.51.100.1');
      }),
    ).toBe('REFUSED');
    const everything = { limit: 10 };
    expect(host.openStore().history.find(everything)).toMatchObject([
      { outcome: { verb: 'refused' }, origin: 'wazuh', reason: expect.stringContaining('gateway') },
    ]);
  });

  test('is refused for OSSEC too', () => {
    const args = ['add', '-', '198.51.100.1', '1.2', '3'];
    expect(
      codeOf(() => {
        respondToArguments(context(), args);
      }),
    ).toBe('REFUSED');
    expect(host.kernel.commands).toEqual([]);
  });
});

describe('a message without an address', () => {
  test.each([
    'attacker.example',
    '0.0.0.0/0',
    '203.0.113.9/32',
    '203.0.113.9 -j ACCEPT',
    '203.0.113.9\n',
    '-F',
    '',
    '[2001:db8::9]',
    'fe80::1%eth0',
    'a'.repeat(60_000),
    16909060,
    null,
  ])('is refused with one line, no key and no rule: %j', (srcip) => {
    const work = (): void => {
      respondToMessage(context(), streams(message('add', srcip), ANSWERS.continue));
    };
    expect(codeOf(work)).toBe('BAD_DATA');
    expect(written).toEqual([]);
    expect(host.kernel.commands).toEqual([]);
    expect(logged()).toEqual([`refused - - ${IDS}`]);
  });

  test.each(['', 'garbage', '[]', '{"command":"add"}', '{"command":"add","parameters":{}}'])(
    'is refused with one line if it is not a message: %j',
    (line) => {
      expect(
        codeOf(() => {
          respondToMessage(context(), streams(line));
        }),
      ).toBe('BAD_DATA');
      expect(logged()).toEqual(['refused - - 1715083200.000000 0']);
      expect(host.kernel.commands).toEqual([]);
    },
  );

  test('is refused if the input ends before a complete line', () => {
    expect(() => {
      respondToMessage(context(), streams());
    }).toThrow('the input ended before a complete message arrived');
    expect(logged()).toHaveLength(1);
  });

  test('is reported differently if it does not arrive in time', () => {
    expect(() => {
      respondToMessage(context({ deadline: { remainingMs: () => 0 } }), streams());
    }).toThrow('no complete message arrived in time');
  });
});

test('a second message instead of the answer is not executed', () => {
  const second = message('add', '203.0.113.10');
  expect(
    codeOf(() => {
      respondToMessage(context(), streams(message('add', '203.0.113.9'), second));
    }),
  ).toBe('HANDSHAKE');
  expect(host.kernel.commands).toEqual([]);
});

test('the exchange with execd gets half of the time', () => {
  const given: Deadline[] = [];
  const { reader, write } = streams(message('add', '203.0.113.9'), ANSWERS.continue);
  respondToMessage(context({ deadline: { remainingMs: () => 20_000 } }), {
    reader: {
      ...reader,
      readLine: (deadline) => {
        given.push(deadline);
        return reader.readLine(deadline);
      },
    },
    write: (text, deadline) => {
      given.push(deadline);
      write(text);
    },
  });
  expect(given).toHaveLength(3);
  for (const deadline of given) expect(deadline.remainingMs()).toBeLessThanOrEqual(10_000);
});

describe('an execd that exits before it answers', () => {
  test('causes a failure line, and nothing is blocked', () => {
    expect(
      codeOf(() => {
        respondToMessage(context(), streams(message('add', '203.0.113.9')));
      }),
    ).toBe('HANDSHAKE');
    expect(host.kernel.commands).toEqual([]);
    expect(host.openStore().bans.list()).toEqual([]);
    expect(logged()).toEqual([`failed - 203.0.113.9 ${IDS}`]);
  });
});

describe('an address is blocked although', () => {
  test('the writer lock is not available', () => {
    const lock = () => new AppError('LOCK_BUSY', 'another still has the writer lock after 10.0 s');
    add('continue', '203.0.113.9', context({ lock }));
    expect(host.rulesFor('203.0.113.9')).toEqual([1, 1]);
    expect(host.warnings.join()).toContain('working without the writer lock');
  });

  test('the directory of the log is missing', () => {
    rmSync(join(home, 'logs'), { recursive: true });
    add('continue');
    expect(host.rulesFor('203.0.113.9')).toEqual([1, 1]);
  });
});

const MESSAGE5 = JSON.stringify({
  wazuh: { active_response: { type: 'stateful', stateful_timeout: 180 } },
  source: { ip: '203.0.113.9' },
  command: 'enable',
});
const KEYS =
  '{"version":1,"origin":{"name":"firewall-drop","module":"active-response"},"command":"check_keys","parameters":{"keys":["203.0.113.9"]}}';

describe('in the format `wazuh`', () => {
  const PREFIX = '2024/05/07 12:00:00 active-response/bin/firewall-drop: ';
  beforeEach(() => {
    kind = 'wazuh';
  });

  /** Returns the lines that a run adds to the log without their prefix, which each must have. */
  const linesOf = (work: () => void): string[] => {
    const path = join(home, 'logs/active-responses.log');
    rmSync(path, { force: true });
    codeOf(work);
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
    for (const line of lines) expect(line.startsWith(PREFIX)).toBe(true);
    return lines.map((line) => line.slice(PREFIX.length));
  };
  const respondTo = (...lines: readonly string[]): string[] =>
    linesOf(() => {
      respondToMessage(context(), streams(...lines));
    });
  const MESSAGE4 = message('add', '203.0.113.9');
  const { abort: ABORT, continue: CONTINUE } = ANSWERS;

  test.each([
    ['Wazuh 4', MESSAGE4],
    ['Wazuh 5', MESSAGE5],
  ])('a block of %s has the lines that Wazuh’s own tests look for', (_, line) => {
    expect(respondTo(line, CONTINUE)).toEqual(['Starting', line, KEYS, CONTINUE, 'Ended']);
  });

  test.each([
    ['Wazuh 4', MESSAGE4],
    ['Wazuh 5', MESSAGE5],
  ])('the last line is `Aborted` after an abort of %s', (_, line) => {
    const aborted = ['Starting', line, KEYS, ABORT, 'Aborted'];
    // The address is first not blocked, then blocked, then lost by the kernel.
    expect(respondTo(line, ABORT)).toEqual(aborted);
    expect(respondTo(line, ABORT)).toEqual(aborted);
    host.kernel.flush();
    expect(respondTo(line, ABORT)).toEqual(aborted);
    expect(host.rulesFor('203.0.113.9')).toEqual([1, 1]);
  });

  test.each([
    ['Wazuh 4', MESSAGE4, message('delete', '203.0.113.9')],
    ['Wazuh 5', MESSAGE5, MESSAGE5.replace('enable', 'disable')],
  ])('an unblock of %s has no keys, even if nothing was blocked', (_, block, line) => {
    respondTo(block, CONTINUE);
    expect(respondTo(line)).toEqual(['Starting', line, 'Ended']);
    expect(respondTo(line)).toEqual(['Starting', line, 'Ended']);
  });

  test.each([
    ['an empty line', '', 'Invalid input format'],
    ['no JSON', 'nonsense', 'Invalid input format'],
    ['a list', '[]', 'Invalid input format'],
    ['neither `parameters` nor `wazuh`', '{"version":1,"command":"add"}', 'Invalid input format'],
    [
      'neither a version nor an address',
      '{"command":"add","parameters":{"alert":{"data":{}}}}',
      'Invalid input format',
    ],
    ['no command', '{"version":1,"parameters":{}}', "Cannot read 'command' from json"],
    [
      'a command that is not a string',
      '{"version":1,"command":1,"parameters":{}}',
      "Cannot read 'command' from json",
    ],
    ['another command', message('restart', '203.0.113.9'), "Invalid value of 'command'"],
    ['no address in Wazuh 4', message('add', undefined), "Cannot read 'srcip' from data"],
    [
      'no address in Wazuh 5',
      '{"wazuh":{},"command":"enable"}',
      "Cannot read 'source.ip' from data",
    ],
  ])('a message that has %s is followed by the text of Wazuh’s own program', (_, line, text) => {
    const quote = line === '' ? [] : [JSON.stringify(line)];
    expect(respondTo(line, CONTINUE)).toEqual(['Starting', ...quote, text]);
    expect(host.kernel.commands).toEqual([]);
  });

  test('missing input is logged with the text of Wazuh’s own program', () => {
    expect(respondTo()).toEqual(['Starting', 'Cannot read input from stdin']);
  });

  test.each([
    ['no answer', [], 'Cannot read input from stdin'],
    ['no JSON', ['continue'], 'Invalid input format'],
    ['no command', ['{}'], "Cannot read 'command' from json"],
    ['another command', ['{"command":"maybe"}'], "Invalid value of 'command'"],
  ])(
    '%s instead of execd’s answer is followed by the text of Wazuh’s own program',
    (_, answers, text) => {
      const quote = JSON.stringify(MESSAGE4);
      expect(respondTo(MESSAGE4, ...answers)).toEqual(['Starting', quote, KEYS, text]);
      expect(host.kernel.commands).toEqual([]);
    },
  );

  test('a refusal and a failure have neither a line with a message nor `Ended`', () => {
    const line = message('add', '127.0.0.1');
    expect(respondTo(line)).toEqual(['Starting', JSON.stringify(line), `refused 127.0.0.1 ${IDS}`]);
    host.kernel.disturbAlways(refuses(1, 'no'));
    expect(respondTo(MESSAGE4, CONTINUE)).toEqual([
      'Starting',
      JSON.stringify(MESSAGE4),
      KEYS,
      CONTINUE,
      `failed 203.0.113.9 ${IDS}`,
    ]);
  });

  test('every line for requests of OSSEC has the prefix too', () => {
    const lines = linesOf(() => {
      respondToArguments(context(), ['add', '-', '203.0.113.9', '1.2', '3']);
    });
    expect(lines).toEqual(['Starting', expect.stringContaining('"srcip":"203.0.113.9"'), 'Ended']);
    const refused = linesOf(() => {
      respondToArguments(context(), ['add', '-', 'host.example', '1.2', '3']);
    });
    expect(refused).toEqual(["Cannot read 'srcip' from data"]);
  });
});

describe('a message without a newline', () => {
  test('is read if the input ends after it', () => {
    add('continue');
    unterminated = message('delete', '203.0.113.9');
    respondToMessage(context(), streams());
    expect(host.rulesFor('203.0.113.9')).toEqual([0, 0]);
  });

  test('is refused if it is incomplete', () => {
    unterminated = message('delete', '203.0.113.9').slice(0, -1);
    expect(
      codeOf(() => {
        respondToMessage(context(), streams());
      }),
    ).toBe('BAD_DATA');
  });

  test('is not executed while more input can follow', () => {
    unterminated = message('delete', '203.0.113.9');
    const late = context({ deadline: { remainingMs: () => 0 } });
    expect(() => {
      respondToMessage(late, streams());
    }).toThrow('no complete message arrived in time');
  });

  test('is not used as execd’s answer too', () => {
    unterminated = message('add', '203.0.113.9');
    expect(
      codeOf(() => {
        respondToMessage(context(), streams());
      }),
    ).toBe('HANDSHAKE');
    expect(host.kernel.commands).toEqual([]);
  });
});

test('a block that the kernel refuses is an error with a `failed` line and without an `add`', () => {
  host.kernel.disturbAlways(refuses(1, 'no'));
  expect(
    codeOf(() => {
      add('continue');
    }),
  ).toBe('FIREWALL');
  expect(logged()).toEqual([`failed - 203.0.113.9 ${IDS}`]);
});

test('no alert can cause a second line or a raw control character', () => {
  const hostile =
    'x\nMon May  6 00:00:00 UTC 2024 /a/active-response/bin/b add - 192.0.2.1 1.2 3\u001b[2J';
  const alert = { id: hostile, rule: { id: hostile, description: hostile }, full_log: hostile };
  respondToMessage(context(), streams(message('add', '203.0.113.9', alert), ANSWERS.continue));
  const text = readFileSync(join(home, 'logs/active-responses.log'), 'utf8');
  expect(text.split('\n')).toHaveLength(2);
  expect(text).not.toContain('192.0.2.1');
});
