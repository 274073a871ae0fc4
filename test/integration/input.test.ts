// Gives the built executable hostile input through every invocation: it does what the message means, or nothing.
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { setTimeout as pause } from 'node:timers/promises';
import { answerTo, wazuh4Message, wazuh5Message } from '../support/alerts.ts';
import { createVictim, ossecLine, type Response, type Victim } from '../support/victim.ts';

const A = '203.0.113.7';
const OTHER = '203.0.113.8';
const BAD_DATA = 65;
const UNAVAILABLE = 69;
const HANDS = { alertId: '1628597593.1', ruleId: '5710' };

let victim: Victim;
beforeAll(async () => {
  victim = await createVictim();
});
afterEach(() => {
  victim.reset();
});
afterAll(() => victim.dispose());

const MESSAGE = wazuh4Message({ srcip: A });
/** Returns the message with another member of the alert. */
const withMember = (member: string): string =>
  MESSAGE.replace('"location":', `${member},"location":`);

function give(message: string, answer = answerTo(MESSAGE, 'continue')): Response {
  return victim.respond(message + answer);
}

function giveBytes(message: Buffer): { status: number | null } {
  const input = Buffer.concat([message, Buffer.from(answerTo(MESSAGE, 'continue'))]);
  return victim.host.run(['active-response/bin/firewall-drop'], { cwd: victim.agent.home, input });
}

/** Checks that the log has a number of complete and printable lines. */
function expectPrintableLog(lines: number): void {
  const text = victim.host.readFile(victim.agent.log);
  expect(text.split('\n')).toHaveLength(lines + 1);
  expect(text).toMatch(/^[\n\x20-\x7e]*$/);
}

function expectRefused({ status, lines }: Pick<Response, 'status' | 'lines'>): void {
  expect({ status, lines: lines.length }).toEqual({ status: BAD_DATA, lines: 1 });
  expect(lines[0]).toMatch(/ refused - - \d+\.\d+ \d+$/);
}

describe('an endless line', () => {
  const X100MB = 'head -c 104857600 /dev/zero | tr "\\0" x';
  /** Runs the program with the output of a script as its input. A usual run takes 60 MB. */
  const feed = (script: string): { status: number; megabytes: number } => {
    const measured = `(${script}) | /usr/bin/time -q -f '%x %M' active-response/bin/firewall-drop 2>&1 >/dev/null | tail -n 1`;
    const { stdout } = victim.host.run(['bash', '-c', measured, 'bash', MESSAGE], {
      cwd: victim.agent.home,
    });
    const [status = NaN, kibibytes = NaN] = stdout.split(' ').map(Number);
    return { status, megabytes: kibibytes / 1024 };
  };

  test.each([
    ['100 MB without a line feed', X100MB, BAD_DATA],
    ['a valid beginning that never ends', `printf '{"command":"add","x":"'; ${X100MB}`, BAD_DATA],
    ['100 MB instead of the answer', `printf %s "$1"; ${X100MB}`, UNAVAILABLE],
  ])('of %s takes bounded memory', (_, script, status) => {
    const seen = feed(script);
    expect(seen.status).toBe(status);
    expect(seen.megabytes).toBeGreaterThan(20);
    expect(seen.megabytes).toBeLessThan(110);
    expect(victim.log()).toHaveLength(1);
    expect(victim.allRules()).toEqual([]);
  });

  test('an alert of 1 MB is refused', () => {
    expectRefused(give(withMember(`"full":"${'x'.repeat(1024 * 1024)}"`)));
    expect(victim.allRules()).toEqual([]);
  });
});

test('a message that comes 10 bytes at a time is accepted', async () => {
  const running = victim.start();
  const message = `{"version":1,"command":"add","parameters":{"alert":{"data":{"srcip":"${A}"}}}}\n`;
  for (let at = 0; at < message.length; at += 10) {
    running.say(message.slice(at, at + 10));
    await pause(50);
  }
  running.say(answerTo(message, 'continue'));
  expect(await running.ended).toMatchObject({ status: 0, stderr: '' });
  expect(victim.rules(A)).toHaveLength(2);
});

describe('a message', () => {
  test.each<[string, string]>([
    ['whose command is given twice', MESSAGE.replace('{', '{"command":"add",')],
    [
      'whose second command is another',
      MESSAGE.replace('"parameters"', '"command":"delete","parameters"'),
    ],
    ['whose address is given twice', MESSAGE.replace(`"${A}",`, `"${A}","srcip":"${OTHER}",`)],
    [
      'whose `data` is given twice',
      MESSAGE.replace('"location":', `"data":{"srcip":"${OTHER}"},"location":`),
    ],
    [
      'whose `parameters` are given twice',
      MESSAGE.replace(/}\n$/, `,"parameters":{"alert":{"data":{"srcip":"${OTHER}"}}}}\n`),
    ],
    ['with an address in another case', withMember(`"Data":{"SRCIP":"${OTHER}"}`)],
    ['with `__proto__`', withMember(`"__proto__":{"data":{"srcip":"${OTHER}"}}`)],
    ['with `constructor`', withMember('"constructor":{"prototype":{"srcip":"x"}},"toString":1')],
    ['with lone surrogates', withMember(String.raw`"a":"\ud800","b":"\udc00\ud800"`)],
    ['with 1e400', withMember('"a":1e400,"b":-1e400')],
    ['nested as deeply as execd reads', withMember(`"a":${'['.repeat(500)}${']'.repeat(500)}`)],
  ])('%s blocks only the address of the alert', (_, message) => {
    const response = give(message);
    expect(response).toMatchObject({ status: 0, stderr: '' });
    expect(response.lines).toEqual([expect.stringMatching(ossecLine('add', A))]);
    expect(victim.allRules().every((rule) => rule.includes(`-s ${A}/32 `))).toBe(true);
    expect(victim.rules(A)).toHaveLength(2);
  });

  test('with a NUL after the last line is harmless', () => {
    expect(give(MESSAGE, `${answerTo(MESSAGE, 'continue')}\0`)).toMatchObject({ status: 0 });
    expect(victim.respond(`${wazuh4Message({ srcip: A, command: 'delete' })}\0`).status).toBe(0);
    expect(victim.allRules()).toEqual([]);
  });

  test('with invalid UTF-8 in free text blocks its address, and its log line is printable', () => {
    const bytes = Buffer.from(
      MESSAGE.replace('sshd: Attempt', '\xff\xfe\xc0\x80 Attempt'),
      'latin1',
    );
    expect(giveBytes(bytes).status).toBe(0);
    expect(victim.rules(A)).toHaveLength(2);
    expectPrintableLog(1);
  });
});

describe('an invalid message', () => {
  test.each<[string, string]>([
    ['with text after it', `${MESSAGE.trimEnd()} {"command":"add"}\n`],
    ['with NaN', withMember('"a":NaN')],
    ['with Infinity', withMember('"a":-Infinity')],
    ['with 30,000 levels', withMember(`"a":${'['.repeat(30_000)}${']'.repeat(30_000)}`)],
    ['with 5,000,000 levels', withMember(`"a":${'['.repeat(5_000_000)}`)],
    ['whose command is in another case', MESSAGE.replace('"command"', '"Command"')],
    [
      'whose parts are inherited',
      `{"__proto__":${MESSAGE.trimEnd()},"constructor":${MESSAGE.trimEnd()}}\n`,
    ],
    [
      'whose address is inherited',
      MESSAGE.replace(/"data":\{([^}]*)\}/, '"data":{"__proto__":{$1}}'),
    ],
  ])('%s blocks nothing', (_, message) => {
    expectRefused(give(message));
    expect(victim.allRules()).toEqual([]);
  });

  test('with invalid UTF-8 in its address blocks nothing', () => {
    expect(giveBytes(Buffer.from(MESSAGE.replace(`"${A}"`, `"${A}\xff"`), 'latin1')).status).toBe(
      BAD_DATA,
    );
    expect(victim.allRules()).toEqual([]);
    expectPrintableLog(1);
  });
});

const LETTERS = '9'.repeat(60_000);
const NO_ADDRESS = [
  ...['1.2.3.4 -j ACCEPT', '-h', '--help', '-F', '0.0.0.0/0', '1.2.3.4/8', '1.2.3.4/32', '::/0'],
  ...[
    'host.example',
    'localhost',
    '1٫2.3.4',
    '１.2.3.4',
    '1。2。3。4',
    '\ufeff1.2.3.4',
    '1.2.3\u200b.4',
  ],
  ...[' 1.2.3.4', '1.2.3.4 ', '1.2.3.4\n', '\t1.2.3.4', '[::1]', '[2001:db8::1]', '!1.2.3.4'],
  ...['1.2.3.4,5.6.7.8', '1.2.3.4 5.6.7.8', LETTERS, '', '1.2.3', '1', '16909060', '010.0.0.1'],
  ...['0x7f.1', '0x7f000001', 'fe80::1%eth0', '1.2.3.4:22', '\u001b[2J', '1.2.3.4\r', '$(reboot)'],
  ...['; reboot', '-F.', '2001:db8::1/128', '::ffff:1.2.3.4/96', '1.2.3.256', '2001:db8:::1'],
];
const PROTECTED = [
  ...['0.0.0.0', '::', '255.255.255.255', '224.0.0.1', 'ff02::1', '127.0.0.1', '::1', '127.9.9.9'],
  ...['::ffff:127.0.0.1', '::ffff:0.0.0.0', '::ffff:7f00:1'],
];

// test/unit/model/address.test.ts checks the one parser with all of these texts and more. The tests here show that each
// invocation uses it.
describe('an invalid or protected address', () => {
  const all = [...NO_ADDRESS, ...PROTECTED];
  const everyFourth = (from: number): string[] => all.filter((_, index) => index % 4 === from);

  test.each<[string, readonly string[], (text: string) => Response]>([
    ['Wazuh 4', everyFourth(0), (text) => victim.add(text)],
    ['Wazuh 5', everyFourth(1), (text) => victim.enable(text)],
    ['OSSEC', everyFourth(2), (text) => victim.ossec({ srcip: text, ...HANDS })],
  ])('is refused from %s', (_, texts, ask) => {
    for (const text of texts) {
      const { status, lines } = ask(text);
      const about = text.slice(0, 40);
      expect({ about, status, lines: lines.length }).toEqual({ about, status: BAD_DATA, lines: 1 });
      expect(lines[0]).toContain(' refused - ');
    }
    expect(victim.allRules()).toEqual([]);
    expectPrintableLog(texts.length);
  });
});

test.each([
  ['0:0:0:0:0:FFFF:203.0.113.7', A],
  ['2001:DB8:0::1', '2001:db8::1'],
])('add and delete treat %s as %s', (text, address) => {
  expect(victim.add(text).status).toBe(0);
  expect(victim.rules(address)).toHaveLength(2);
  expect(victim.delete(text).status).toBe(0);
  expect(victim.allRules()).toEqual([]);
});

describe('control characters', () => {
  const EVIL =
    '\n\r\u001b[2J\u0007\u009b\u2028\u0085Tue Nov 24 15:00:00 UTC 2026 x add - 1.2.3.4 1.2 3\n';

  test.each(['ossec', 'both'])('in any value do not reach the log in the format "%s"', (format) => {
    victim.configure(`[log]\nformat = "${format}"\n`);
    const extra = { full_log: EVIL, [EVIL]: EVIL, location: EVIL, decoder: { name: EVIL } };
    const message = wazuh4Message({ srcip: A, alertId: EVIL, ruleId: EVIL, extra });
    const answer = JSON.stringify({ command: 'continue', [EVIL]: EVIL, parameters: { x: EVIL } });
    expect(give(message, `${answer}\n`).status).toBe(0);
    expect(victim.rules(A)).toHaveLength(2);
    expectPrintableLog(format === 'ossec' ? 1 : 6);
  });

  test('in OSSEC’s arguments and in argv[0] do not reach the log', () => {
    const program = victim.agent.program();
    const words = ['add', EVIL, A, HANDS.alertId, HANDS.ruleId, EVIL];
    expect(victim.host.run([program, ...words], { argv0: EVIL }).status).toBe(0);
    expect(victim.ossecRaw(['add', EVIL, EVIL, HANDS.alertId, HANDS.ruleId]).status).toBe(BAD_DATA);
    expectPrintableLog(2);
  });

  test('in an alert of Wazuh 5 do not reach the log', () => {
    const message = wazuh5Message({ srcip: A, extra: { event: { original: EVIL } } });
    expect(give(message).status).toBe(0);
    expectPrintableLog(1);
  });
});
