// Checks active-responses.log: the rule engines decode its lines, and less privileged users cannot misuse the file.
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import {
  answerTo,
  type JsonObject,
  wazuh4Message,
  wazuh4Object,
  wazuh5Message,
} from '../support/alerts.ts';
import { createVictim, ossecLine, type Victim } from '../support/victim.ts';

const A = '203.0.113.7';
const B = '203.0.113.8';
const A6 = '2001:db8:ffff::7';
const HOME = '/var/ossec';
const LOGS = `${HOME}/logs`;
const LOG = `${LOGS}/active-responses.log`;
/** All control characters. Splitting the text has removed the line feeds. */
// eslint-disable-next-line no-control-regex -- checks for control characters
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;

let victim: Victim;
beforeAll(async () => {
  victim = await createVictim();
});
afterEach(() => {
  victim.reset();
});
afterAll(() => victim.dispose());

function inHost(script: string): string {
  return victim.host.must(['bash', '-c', script]);
}

describe('the format "ossec"', () => {
  /** The decoder ar_log of OSSEC and Wazuh with its fields: script, type, srcip, id, extra_data (the rule). */
  const DECODER =
    /^\w{3} \w{3} {1,2}\d{1,2} \d\d:\d\d:\d\d [+-]?[A-Za-z0-9]+ \d{4} \/\S+\/active-response\/bin\/(\S+\.sh) (\S+) - (\S+) (\d+\.\d+) (\d+)$/;
  const decode = (lines: readonly string[]): (string[] | undefined)[] => {
    return lines.map((line) => DECODER.exec(line)?.slice(1));
  };

  test.each([A, A6])('gives rules 601 and 602 lines that they decode, for %s', (address) => {
    const ids = ['1628597593.1234567', '5710'];
    expect(decode(victim.add(address).lines)).toEqual([
      ['firewall-drop.sh', 'add', address, ...ids],
    ]);
    expect(decode(victim.delete(address).lines)).toEqual([
      ['firewall-drop.sh', 'delete', address, ...ids],
    ]);
  });

  test('also gives lines that decode for manual alerts, for persons and for manual OSSEC responses', () => {
    const byHand = [
      [A, victim.add(A, { alert: { data: { srcip: A } } })],
      [B, victim.person(['add', B])],
      [A, victim.ossecRaw(['add', '-', A, '(from_the_server)', '(no_rule_id)'])],
    ] as const;
    for (const [address, { lines }] of byHand) {
      const now = expect.stringMatching(/^1\d{9}\.\d{6}$/);
      expect(decode(lines)).toEqual([['firewall-drop.sh', 'add', address, now, '0']]);
    }
  });

  test.each([
    ['letters', 'abc', '57x10'],
    ['something longer', '1628597593.1234567 add', '5710 x'],
    ['line ends', '1628597593.1234567\n', '5710\n'],
    ['far too long', `1.${'2'.repeat(40)}`, '3'.repeat(40)],
  ])('replaces ids that are %s with ids that decode', (_, alertId, ruleId) => {
    const [fields] = decode(victim.add(A, { alertId, ruleId }).lines);
    expect(fields?.slice(3)).toEqual([expect.stringMatching(/^1\d{9}\.\d{6}$/), '0']);
  });

  test('has separate verbs for refusals and failures, so that rule 601 is always true', () => {
    expect(decode(victim.add('127.0.0.1').lines)[0]?.[1]).toBe('refused');
    expect(decode(victim.add(A, { answer: 'none' }).lines)[0]?.[1]).toBe('failed');
  });
});

describe('the format "wazuh"', () => {
  const PREFIX = /^\d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d active-response\/bin\/firewall-drop: /;
  const texts = (lines: readonly string[]): string[] => {
    for (const line of lines) expect(line).toMatch(PREFIX);
    return lines.map((line) => line.replace(PREFIX, ''));
  };
  /** The fields of rules 651 and 652: command and program. The address is decoded only if it is first in `data`. */
  const decoded = (text: string | undefined): unknown => {
    const message = JSON.parse(text ?? '') as {
      command: string;
      parameters: { program: string; alert: { data: JsonObject } };
    };
    const { program, alert } = message.parameters;
    return [message.command, program, Object.entries(alert.data)[0]];
  };
  const program = 'active-response/bin/firewall-drop';

  test('repeats the exchange of an add, with its messages unchanged', () => {
    victim.configure('[log]\nformat = "wazuh"\n');
    const message = wazuh4Message({ srcip: A });
    const [starting, heard, keys, answer, ended, ...rest] = texts(victim.add(A).lines);
    expect([starting, ended, rest]).toEqual(['Starting', 'Ended', []]);
    expect(`${heard ?? ''}\n`).toBe(message);
    expect(decoded(heard)).toEqual(['add', program, ['srcip', A]]);
    expect(keys).toContain(`"command":"check_keys","parameters":{"keys":["${A}"]}`);
    expect(`${answer ?? ''}\n`).toBe(answerTo(message, 'continue'));
  });

  test('has neither keys nor an answer for a delete', () => {
    victim.configure('[log]\nformat = "wazuh"\n');
    victim.add(A);
    const [starting, heard, ended, ...rest] = texts(victim.delete(A).lines);
    expect([starting, ended, rest]).toEqual(['Starting', 'Ended', []]);
    expect(decoded(heard)).toEqual(['delete', program, ['srcip', A]]);
  });

  test.each([
    ['a person', () => victim.person(['add', A])],
    ['OSSEC', () => victim.ossec({ srcip: A })],
  ])('makes a message that rule 651 decodes for %s, which sends none', (_, act) => {
    victim.configure('[log]\nformat = "wazuh"\n');
    const [starting, message, ended, ...rest] = texts(act().lines);
    expect([starting, ended, rest]).toEqual(['Starting', 'Ended', []]);
    expect(decoded(message)).toEqual(['add', program, ['srcip', A]]);
  });

  test('has no unquoted message in the lines of refusals and failures', () => {
    victim.configure('[log]\nformat = "wazuh"\n');
    const lines = [...victim.add('127.0.0.1').lines, ...victim.add(A, { answer: 'none' }).lines];
    const quote = (srcip: string): string => JSON.stringify(wazuh4Message({ srcip }).trimEnd());
    expect(texts(lines)).toEqual([
      'Starting',
      quote('127.0.0.1'),
      'refused 127.0.0.1 1628597593.1234567 5710',
      'Starting',
      quote(A),
      expect.stringContaining('"check_keys"'),
      'Cannot read input from stdin',
    ]);
  });

  test('ends with `Aborted` after an abort, with the messages as received', () => {
    victim.configure('[log]\nformat = "wazuh"\n');
    const message = wazuh4Message({ srcip: A });
    victim.add(A);
    const [starting, received, , answer, aborted, ...rest] = texts(
      victim.add(A, { answer: 'abort' }).lines,
    );
    expect([starting, aborted, rest]).toEqual(['Starting', 'Aborted', []]);
    expect(`${received ?? ''}\n`).toBe(message);
    expect(`${answer ?? ''}\n`).toBe(answerTo(message, 'abort'));
  });

  const BLOCK = wazuh4Message({ srcip: A });
  const NOBODY = wazuh4Message({ srcip: 'host.example' });
  const quoted = (line: string): string => JSON.stringify(line.trimEnd());
  const KEYS = `{"version":1,"origin":{"name":"firewall-drop","module":"active-response"},"command":"check_keys","parameters":{"keys":["${A}"]}}`;

  test('has the messages of Wazuh 5 as received', () => {
    victim.configure('[log]\nformat = "wazuh"\n');
    const enable = wazuh5Message({ srcip: A, command: 'enable' });
    const answer = answerTo(enable, 'continue');
    const block = ['Starting', enable.trimEnd(), KEYS, answer.trimEnd(), 'Ended'];
    expect(texts(victim.respond(enable + answer).lines)).toEqual(block);
    const disable = wazuh5Message({ srcip: A, command: 'disable' });
    const unblock = ['Starting', disable.trimEnd(), 'Ended'];
    expect(texts(victim.respond(disable).lines)).toEqual(unblock);
    // Nothing is blocked any more, and the last line can lack its line feed.
    expect(texts(victim.respond(disable.trimEnd()).lines)).toEqual(unblock);
  });

  const WITHOUT = 'Cannot read input from stdin';
  const FORMAT = 'Invalid input format';
  test.each([
    ['no input', '', [WITHOUT]],
    ['an empty line', '\n', [FORMAT]],
    ['text that is not JSON', 'nonsense\n', [quoted('nonsense'), FORMAT]],
    ['JSON that is not an object', '[]\n', [quoted('[]'), FORMAT]],
    [
      'neither `parameters` nor `wazuh`',
      '{"version":1,"command":"add"}\n',
      [quoted('{"version":1,"command":"add"}'), FORMAT],
    ],
    [
      'no command',
      '{"version":1,"parameters":{}}\n',
      [quoted('{"version":1,"parameters":{}}'), "Cannot read 'command' from json"],
    ],
    [
      'an unknown command',
      BLOCK.replace('"add"', '"restart"'),
      [quoted(BLOCK.replace('"add"', '"restart"')), "Invalid value of 'command'"],
    ],
    ['no address of Wazuh 4', NOBODY, [quoted(NOBODY), "Cannot read 'srcip' from data"]],
    [
      'no address of Wazuh 5',
      '{"wazuh":{},"command":"enable"}\n',
      [quoted('{"wazuh":{},"command":"enable"}'), "Cannot read 'source.ip' from data"],
    ],
    ['no answer', BLOCK, [quoted(BLOCK), KEYS, WITHOUT]],
    ['an answer that is not JSON', `${BLOCK}continue\n`, [quoted(BLOCK), KEYS, FORMAT]],
    [
      'an answer without a command',
      `${BLOCK}{}\n`,
      [quoted(BLOCK), KEYS, "Cannot read 'command' from json"],
    ],
    [
      'an answer with another command',
      `${BLOCK}{"command":"maybe"}\n`,
      [quoted(BLOCK), KEYS, "Invalid value of 'command'"],
    ],
  ])('has the texts of Wazuh’s own program for %s, which blocks nothing', (_, input, lines) => {
    victim.configure('[log]\nformat = "wazuh"\n');
    const result = victim.respond(input);
    expect(texts(result.lines)).toEqual(['Starting', ...lines]);
    expect(result.status).not.toBe(0);
    expect(victim.rules(A)).toEqual([]);
  });

  test('is written in addition to the other one with "both"', () => {
    victim.configure('[log]\nformat = "both"\n');
    const [first, ...others] = victim.add(A).lines;
    expect(first).toMatch(ossecLine('add', A));
    expect(texts(others)).toHaveLength(5);
  });
});

describe('the date', () => {
  // One zone of each kind. test/unit/system/zone.test.ts compares nearly every zone of the machine with date(1).
  const ZONES = ['UTC', 'Europe/Berlin', 'Asia/Kathmandu', 'Etc/GMT+12'];
  const program = `${HOME}/active-response/bin/firewall-drop add ${A} >/dev/null`;
  const date = 'LC_ALL=C date "+%a %b %e %H:%M:%S %Z %Y"';
  // Other tests expect UTC, even if a test fails.
  afterAll(() => {
    inHost('ln -sfn /usr/share/zoneinfo/Etc/UTC /etc/localtime');
  });

  /** Checks that the time of the line is within the run, as date(1) prints it. */
  const asDatePrintsIt = (setting: string): void => {
    const span = `from=$(date +%s); ${program}; to=$(date +%s)`;
    const each = `for second in $(seq $from $to); do ${date} -d @$second; done`;
    const dates = inHost(`${setting}; ${span}; ${each}`).trimEnd().split('\n');
    const line = victim.log().at(-1) ?? '';
    expect(dates).toContain(line.slice(0, line.indexOf(' /')));
  };

  test.each(ZONES)('is what date(1) prints, with TZ=%s', (zone) => {
    asDatePrintsIt(`export TZ=${zone}`);
  });

  test.each(ZONES)('is what date(1) prints, with /etc/localtime for %s', (zone) => {
    asDatePrintsIt(`ln -sfn /usr/share/zoneinfo/${zone} /etc/localtime`);
  });

  test('is what date(1) prints without /etc/localtime', () => {
    asDatePrintsIt('rm /etc/localtime');
  });

  test.each(['/etc/passwd', '../../../etc/passwd', 'x'.repeat(5000)])(
    'uses the host’s zone if TZ is %.30s, which is not opened',
    (tz) => {
      inHost(`ln -sfn /usr/share/zoneinfo/Asia/Kathmandu /etc/localtime; TZ=${tz} ${program}`);
      expect(victim.log()).toEqual([
        expect.stringMatching(ossecLine('add', A, { zone: '\\+0545' })),
      ]);
    },
  );

  test('makes an alert read only one file, even if /etc/localtime is a copy of a zone file', () => {
    inHost('cp --remove-destination /usr/share/zoneinfo/Europe/Berlin /etc/localtime');
    const launcher = ['strace', '-f', '-qq', '-e', 'trace=open,openat,readlink', '--'];
    const message = wazuh4Message({ srcip: A });
    const alert = { args: [], input: message + answerTo(message, 'continue') };
    const { status, stderr } = victim.run(alert, { launcher });
    expect(status).toBe(0);
    expect(stderr).toContain('"/etc/localtime"');
    expect(stderr).not.toContain('zoneinfo');
  });

  test('of the format "wazuh" uses the host’s zone, too', () => {
    victim.configure('[log]\nformat = "wazuh"\n');
    inHost('ln -sfn /usr/share/zoneinfo/Pacific/Kiritimati /etc/localtime');
    const wazuhDate = 'date "+%Y/%m/%d %H:%M:%S"';
    const [from, to] = inHost(`${wazuhDate}; ${program}; ${wazuhDate}`).split('\n');
    const dates = [from, victim.log()[0]?.slice(0, 19), to];
    // Such dates can be sorted as texts.
    expect(dates.toSorted()).toEqual(dates);
  });
});

describe('the log file', () => {
  test.each(['0', '077', '0777'])(
    'is created with its directory’s owner and mode 0660 with umask %s',
    (mask) => {
      const owner = inHost(`stat -c %u:%g ${LOGS}`);
      // The mistake in the configuration makes the program create firewall-drop.log, too.
      victim.configure('nonsense = 1\n');
      inHost(`umask ${mask}; ${victim.agent.program()} add ${A} 2>/dev/null`);
      for (const name of ['active-responses.log', 'firewall-drop.log']) {
        expect(inHost(`stat -c '%u:%g %a' ${LOGS}/${name}`)).toBe(`${owner.trim()} 660\n`);
      }
    },
  );

  test('keeps its owner and mode', () => {
    victim.host.writeFile(LOG, 'an older line\n', { mode: '0600' });
    victim.add(A);
    expect(inHost(`stat -c '%u:%g %a' ${LOG}`)).toBe('0:0 600\n');
    expect(victim.log()[0]).toBe('an older line');
  });

  test('is created again after the agent has rotated it', () => {
    victim.add(A);
    inHost(`mv ${LOG} ${LOG}.1`);
    expect(victim.delete(A).status).toBe(0);
    expect(victim.log()).toEqual([expect.stringMatching(ossecLine('delete', A))]);
    inHost(`rm ${LOG}.1`);
  });
});

describe('in the log directory', () => {
  const TARGET = '/var/lib/target';
  const kinds: readonly (readonly [string, string])[] = [
    ['a link to a file', `ln -s ${TARGET} ${LOG}`],
    ['a link to a file beside it', `ln -s ossec.log ${LOG}; : >${LOGS}/ossec.log`],
    ['a dangling link', `ln -s /var/lib/not-there ${LOG}`],
    ['a FIFO', `mkfifo ${LOG}`],
    ['a directory', `mkdir ${LOG}`],
    ['a device', `mknod ${LOG} c 1 3 2>/dev/null || { : >${LOG}; mount --bind /dev/null ${LOG}; }`],
    ['a second name of another file', `ln ${TARGET} ${LOG}`],
    [
      'a socket',
      `${process.execPath} -e "require('net').createServer().listen('${LOG}', () => process.kill(process.pid, 9))" || true`,
    ],
  ];

  test.each(kinds)(
    '%s in place of the log is not written to, and does not stop a block',
    (_, put) => {
      victim.host.writeFile(TARGET, 'somebody’s\n');
      inHost(put);
      const kindBefore = inHost(`stat -c '%F %s' ${LOG}`);
      const added = victim.add(A);
      expect(added.status).toBe(0);
      expect(victim.rules(A)).toHaveLength(2);
      expect(victim.delete(A).status).toBe(0);
      expect(victim.allRules()).toEqual([]);

      expect(victim.host.readFile(TARGET)).toBe('somebody’s\n');
      expect(victim.host.exists('/var/lib/not-there')).toBe(false);
      expect(inHost(`cat ${LOGS}/ossec.log 2>/dev/null || true`)).toBe('');
      expect(inHost(`stat -c '%F %s' ${LOG}`)).toBe(kindBefore);
      const complaint = new RegExp(`${LOG.replaceAll('.', '\\.')}.*add ${A}`);
      expect(victim.troubles()).toContainEqual(expect.stringMatching(complaint));
      expect(added.stderr).toMatch(complaint);
      inHost(`umount ${LOG} 2>/dev/null || true; rm -rf ${LOG} ${LOGS}/ossec.log`);
    },
  );

  test('a link with the name firewall-drop.log is not written to either', () => {
    victim.host.writeFile(TARGET, 'somebody’s\n');
    inHost(`ln -s ${TARGET} ${LOGS}/firewall-drop.log`);
    victim.configure('nonsense = 1\n');
    expect(victim.add(A)).toMatchObject({ status: 0 });
    expect(victim.host.readFile(TARGET)).toBe('somebody’s\n');
  });

  test('a problem that does not stop a block is logged as a warning in firewall-drop.log', () => {
    victim.configure('nonsense = 1\n');
    expect(victim.add(A).status).toBe(0);
    const lines = victim.host.readFile(`${LOGS}/firewall-drop.log`).trimEnd().split('\n');
    expect(lines.map((line) => (JSON.parse(line) as { level: number }).level)).toEqual([40]);
  });

  test('a missing logs directory does not stop a block', () => {
    inHost(`mv ${LOGS} ${LOGS}.away`);
    const added = victim.add(A);
    inHost(`mv ${LOGS}.away ${LOGS}`);
    expect(added.status).toBe(0);
    expect(added.stderr).toContain(LOG);
    expect(victim.rules(A)).toHaveLength(2);
  });
});

describe('on a full disk', () => {
  beforeAll(() => {
    inHost(`mount -t tmpfs -o size=16k tmpfs ${LOGS}`);
  });
  afterAll(() => {
    inHost(`umount ${LOGS}`);
  });
  const fill = (): void => {
    victim.host.run(['dd', 'if=/dev/zero', `of=${LOGS}/full`, 'bs=4096']);
  };

  test('an address is blocked and unblocked, and stderr has the lines that could not be logged', () => {
    fill();
    const added = victim.add(A);
    expect(added).toMatchObject({ status: 0, lines: [] });
    expect(added.stderr).toContain(LOG);
    expect(victim.rules(A)).toHaveLength(2);
    expect(victim.delete(A).status).toBe(0);
    expect(victim.allRules()).toEqual([]);
    inHost(`rm ${LOGS}/full`);
  });

  test('a partially written line does not hide the next one', () => {
    // A few bytes are left in the last page of the file, and no page on the disk.
    victim.host.writeFile(LOG, `${'x'.repeat(4085)}\n`);
    fill();
    expect(victim.add(A).status).toBe(0);
    inHost(`rm ${LOGS}/full`);
    expect(victim.delete(A).status).toBe(0);
    // Omit the filling, which would be unreadable in a report.
    const [, ...after] = victim.log().filter((line) => line.replace(/^x+/, '') !== '');
    expect(after).toEqual([expect.stringMatching(ossecLine('delete', A))]);
  });
});

describe('text of attackers', () => {
  const NASTY = 'a\nb\r\u001b[2J\u009b31m\u2028c\u0000\u007fd\t"\\';
  const nastyAlert = (data: JsonObject): JsonObject => ({
    timestamp: NASTY,
    rule: { level: 5, description: NASTY, id: NASTY, [NASTY]: NASTY },
    agent: { id: NASTY, name: NASTY },
    id: NASTY,
    full_log: NASTY,
    data: { ...data, srcuser: NASTY, [NASTY]: [NASTY, { [NASTY]: NASTY }] },
    location: NASTY,
  });
  const wholeLog = (): string => victim.host.readFile(LOG);

  test.each(['ossec', 'wazuh', 'both'])('stays on its line in the format "%s"', (format) => {
    victim.configure(`[log]\nformat = "${format}"\n`);
    const object = {
      ...wazuh4Object({ program: NASTY, alert: nastyAlert({ srcip: A }) }),
      origin: { name: NASTY, module: NASTY },
      [NASTY]: NASTY,
    };
    const message = `${JSON.stringify(object)}\n`;
    const response = victim.respond(message + answerTo(message, 'continue'));
    expect(response.status).toBe(0);
    expect(response.stdout.match(/\n/g)).toHaveLength(1);
    expect(victim.log()).toHaveLength({ ossec: 1, wazuh: 5, both: 6 }[format] ?? 0);
    for (const line of wholeLog().trimEnd().split('\n')) {
      expect(line).not.toMatch(CONTROL);
      expect(line).toMatch(/^(?:\w{3} \w{3} [ \d]\d [\d:]{8} UTC \d{4} \/|\d{4}\/\d\d\/\d\d )/);
    }
    expect(victim.person(['list']).stdout.replaceAll('\n', '')).not.toMatch(CONTROL);
  });

  test('in place of an address is refused on one line, and firewall-drop.log has only lines of JSON', () => {
    victim.configure('[log]\nlevel = "trace"\n');
    for (const srcip of [NASTY, `${A}\n`, ` ${A}`, `${A} add`, `${A}\u0000`]) {
      const response = victim.respond(wazuh4Message({ alert: nastyAlert({ srcip }) }));
      expect(response.status).toBe(65);
      expect(response.lines).toHaveLength(1);
      expect(response.stderr.replace(/\n$/, '')).not.toMatch(CONTROL);
    }
    expect(wholeLog().replaceAll('\n', '')).not.toMatch(CONTROL);
    // This throws if a line is not JSON.
    expect(victim.troubles().length).toBeGreaterThan(0);
  });

  test('in an answer of execd stays on its line', () => {
    victim.configure('[log]\nformat = "both"\n');
    const raw = `${JSON.stringify({ command: 'continue', [NASTY]: NASTY })}\n`;
    expect(victim.add(A, { answer: { raw } }).lines).toHaveLength(6);
    expect(wholeLog().replaceAll('\n', '')).not.toMatch(CONTROL);
  });

  test('with invalid UTF-8 does not stop a block, and stays on one line', () => {
    victim.configure('[log]\nformat = "both"\n');
    const bytes = Buffer.from(wazuh4Message({ srcip: A }), 'utf8');
    bytes.fill(0xff, bytes.indexOf('sshd'), bytes.indexOf('sshd') + 4);
    const input = Buffer.concat([bytes, Buffer.from('{"command":"continue"}\n')]);
    const result = victim.host.run(['active-response/bin/firewall-drop'], { cwd: HOME, input });
    expect(result.status).toBe(0);
    expect(victim.log()).toHaveLength(6);
  });
});

test('the lines of 20 simultaneous runs never mix', async () => {
  victim.configure(
    '[limits]\nlock_wait_seconds = 60\ntotal_seconds = 120\n[log]\nformat = "both"\n',
  );
  // Refusals wait for no lock, so their lines really come at the same time.
  const runs = Array.from({ length: 20 }, (_, index) => {
    return victim.startAdd(index % 5 === 0 ? `203.0.113.${index}` : '127.0.0.1');
  });
  const results = await Promise.all(runs);
  expect(results.filter(({ status }) => status === 0)).toHaveLength(4);
  const lines = victim.log();
  const starts =
    /^(?:\w{3} \w{3} [ \d]\d [\d:]{8} UTC \d{4} \/var\/|\d{4}\/\d\d\/\d\d [\d:]{8} active-response\/)/;
  for (const line of lines) expect(line).toMatch(starts);
  expect(lines.filter((line) => line.includes(' add - '))).toHaveLength(4);
  expect(lines.filter((line) => ossecLine('refused', '127.0.0.1').test(line))).toHaveLength(16);
  expect(lines).toHaveLength(4 * 6 + 16 * 4);
});
