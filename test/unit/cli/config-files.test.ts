// `config check` on realistic files, correct ones and ones with a single mistake, and on the output of `config
// snippet`.
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { checkFiles, formatFinding } from '../../../src/manager/check-files.ts';
import { COMMANDS } from '../../../src/cli/commands.ts';
import { parseArguments } from '../../../src/cli/parse.ts';
import type { Person } from '../../../src/cli/session.ts';
import { findSlips } from '../../../src/manager/typing.ts';
import { readXml } from '../../../src/manager/xml.ts';
import { ownDirectory } from '../support/directory.ts';

const FIXTURES = join(__dirname, '../../fixtures/ossec');

const directory = ownDirectory();

function filesIn(kind: 'good' | 'broken'): string[] {
  return readdirSync(join(FIXTURES, kind)).map((name) => join(FIXTURES, kind, name));
}

function check(text: string, dialect: 'wazuh' | 'ossec' = 'wazuh', name = 'ossec.conf'): string[] {
  const file = join(directory, name);
  writeFileSync(file, text);
  return checkFiles([file], dialect).map(
    ({ severity, line, column, cause }) => `${line}:${column} ${severity}: ${cause}`,
  );
}

/**
 * Reports whether xmllint accepts a text. Wraps the text in one root, because Wazuh's files can have several and XML
 * cannot.
 */
function xmllintAccepts(bytes: Buffer): boolean {
  const wrapped = Buffer.concat([Buffer.from('<all>'), bytes, Buffer.from('</all>')]);
  const { status, error } = spawnSync('xmllint', ['--noout', '-'], { input: wrapped });
  if (error !== undefined) throw error;
  return status === 0;
}

describe('a correct file has no findings', () => {
  test.each(filesIn('good').map((file) => [basename(file), file]))('%s', (_, file) => {
    expect(checkFiles([file], basename(file).startsWith('ossec-') ? 'ossec' : 'wazuh')).toEqual([]);
  });
});

/** The position, the severity and words of the cause for each broken file. */
const DIAGNOSES: readonly (readonly [
  file: string,
  place: string,
  severity: string,
  cause: string,
])[] = [
  ['ampersand.conf', '13:17', 'error', '& begins an entity'],
  ['bom.conf', '1:1', 'error', 'byte order mark'],
  ['closes-nothing.conf', '14:1', 'error', '</ossec_config> closes nothing'],
  ['comment-hyphens.conf', '2:15', 'error', 'two hyphens in a row'],
  ['comment-open.conf', '13:3', 'error', 'this comment is never closed'],
  ['curly-quotes.xml', '1:13', 'error', 'typographic quote'],
  ['duplicate-of-shipped-rule.xml', '2:3', 'error', '601 would be a duplicate'],
  ['expect.conf', '5:5', 'warning', 'Wazuh 4.2 and later ignore <expect>'],
  ['latin1.conf', '2:9', 'error', 'not valid UTF-8'],
  ['less-than.conf', '11:14', 'error', '< begins a tag'],
  ['mail-below-level.conf', '10:14', 'error', '601 (level 3), 602 (level 3)'],
  ['mail-is-off.conf', '3:5', 'error', 'email_notification is not yes'],
  ['nbsp-in-tag.xml', '2:8', 'error', 'non-breaking'],
  ['nbsp-in-value.conf', '11:18', 'error', 'non-breaking'],
  ['never-closed.conf', '1:1', 'error', '<ossec_config> is never closed'],
  ['no-agent-id.conf', '9:15', 'error', 'defined-agent'],
  ['path-as-executable.conf', '4:17', 'error', '<executable> is a path'],
  ['rule-id-is-a-word.conf', '10:20', 'error', '"sshd" is not a rule id'],
  ['timeout-not-allowed.conf', '11:5', 'error', 'does not allow a timeout'],
  ['two-timeouts.conf', '13:3', 'warning', 'timeouts of 3600, 600 seconds'],
  ['unclosed.conf', '6:3', 'error', '<executable> of line 4 is still open'],
  ['unknown-command.conf', '8:14', 'error', 'the command "firewall_drop" is not defined'],
  ['white-list.conf', '3:17', 'error', 'is not an address or a network'],
];

describe('a broken file is reported with its position and cause', () => {
  test.each(DIAGNOSES)('%s at %s: %s, %s', (name, place, severity, cause) => {
    const findings = checkFiles([join(FIXTURES, 'broken', name)], 'wazuh');
    // A value with a strange character is invalid as a value, too.
    const found = findings.at(-1);
    expect(found?.severity).toBe(severity);
    expect(found?.cause).toContain(cause);
    expect(`${found?.line}:${found?.column}`).toBe(place);
    expect(findings.length).toBe(name === 'nbsp-in-value.conf' ? 2 : 1);
    expect(found?.fix).not.toBe('');
  });

  test('every broken fixture is in this table', () => {
    expect(DIAGNOSES.map(([name]) => name)).toEqual(
      filesIn('broken').map((file) => basename(file)),
    );
  });
});

describe('xmllint accepts the same files as well-formed', () => {
  test.each([...filesIn('good'), ...filesIn('broken')].map((file) => [basename(file), file]))(
    '%s',
    (name, file) => {
      const bytes = readFileSync(file);
      // A file that is not UTF-8 is rejected before it is parsed.
      const ours = readXml(bytes.toString('utf8')).mistakes.length === 0 && name !== 'latin1.conf';
      expect(xmllintAccepts(bytes)).toBe(ours);
    },
  );
});

/** Constructs that people and programs write into XML, by mistake or on purpose. */
const CONSTRUCTS = [
  ...['<a b="c"></a>', '</a>', '<a b=“c”/>', '<a\u00a0b="c"/>', '<a b="c & d"/>', "<a b='>'/>"],
  ...['< a/>', '<a / >', '<a></a >', '<1a/>', '<é/>', '<:a/>', '<a b/>', '<a b=c/>', '<a b="<"/>'],
  ...['<a b="x" b="y"/>', '<a b="c"d="e"/>', '<!-- x -->', '<!-- x -- y -->', '<!-- x --->'],
  ...['<!-->', '<!---->', '<![CDATA[ & ]]>', ']]>', '<?x y?>', '<?xml version="1.0"?>'],
  ...['<!DOCTYPE a>', '&amp;', '&', '&#38;', '&nbsp;', '&#0;', '&#x110000;', '&#xD800;'],
  ...['it’s', '\u00a0', ' 1 > 0 ', '\u0001', '\ufffe'],
];

test.each(CONSTRUCTS)('xmllint agrees about %j', (construct) => {
  const text = `<group>${construct}</group>`;
  expect(xmllintAccepts(Buffer.from(text))).toBe(readXml(text).mistakes.length === 0);
});

const MAIL = '--mail o&o@example.org';
const ALLOW = '--allow 192.0.2.0/24,2001:db8::1';

function snippet(options: string): string {
  const args = ['config', 'snippet', ...options.split(' ').filter(Boolean)];
  const parsed = parseArguments(args, COMMANDS);
  if (parsed.kind !== 'run') throw new Error('this is not a command to run');
  const printed: string[] = [];
  const person = { print: (line: string) => printed.push(line) } as unknown as Person;
  void parsed.command.run(parsed.words, parsed.options, person);
  return `${printed.join('\n')}\n`;
}

describe('the output of config snippet', () => {
  test.each<[string, string]>([
    ['Wazuh 4', `${MAIL} ${ALLOW}`],
    ['OSSEC', `--wazuh ossec ${MAIL} ${ALLOW}`],
    ['neither mail nor white list', ''],
    ['one agent', `--location defined-agent --agent 002 ${MAIL} ${ALLOW}`],
    ['all agents', `--location all ${MAIL} ${ALLOW}`],
  ])('for %s is well-formed and has no findings', (_, options) => {
    const text = snippet(options);
    expect(check(text, options.includes('ossec') ? 'ossec' : 'wazuh')).toEqual([]);
    expect(xmllintAccepts(Buffer.from(text))).toBe(true);
  });

  test('without a timeout has only the warning about the timeout', () => {
    expect(check(snippet(`--timeout never ${MAIL}`))).toEqual([
      expect.stringContaining('its bans never end'),
    ]);
  });

  test('for Wazuh 5 lists the fields of the channel', () => {
    const text = snippet(`--wazuh 5 ${MAIL}`);
    expect(text).toMatch(/stateful_timeout +3600/);
    expect(text).toContain('source.ip');
  });
});

describe('a file is checked against its surroundings', () => {
  const CONF = readFileSync(join(FIXTURES, 'good/response-in-second-root.conf'), 'utf8');
  function makeHome(mode: number): string {
    for (const path of ['etc/rules', 'ruleset/rules', 'active-response/bin'])
      mkdirSync(join(directory, path), { recursive: true });
    writeFileSync(join(directory, 'etc/ossec.conf'), CONF);
    const program = join(directory, 'active-response/bin/firewall-drop');
    writeFileSync(program, '');
    chmodSync(program, mode);
    return join(directory, 'etc/ossec.conf');
  }
  const causes = (file: string): string[] => checkFiles([file], 'wazuh').map(({ cause }) => cause);

  test('a rule that no file of the home defines is an error', () => {
    const file = makeHome(0o750);
    writeFileSync(
      join(directory, 'ruleset/rules/1.xml'),
      '<group name="x,"><rule id="5712" level="10"/></group>',
    );
    expect(causes(file)).toEqual([expect.stringContaining('no rule file defines rule 31151')]);
  });

  test('an executable that other users can write is an error', () => {
    expect(causes(makeHome(0o770))).toEqual([expect.stringContaining('mode 0770')]);
    expect(causes(makeHome(0o750))).toEqual([]);
  });

  test('a missing executable is a warning, because it runs on the agents', () => {
    const file = makeHome(0o750);
    rmSync(join(directory, 'active-response/bin/firewall-drop'));
    expect(causes(file)).toEqual([expect.stringContaining('does not exist on this host')]);
  });

  test('a rule that another file raises sends mail', () => {
    const mail = join(FIXTURES, 'broken/mail-below-level.conf');
    const rules = join(directory, 'local_rules.xml');
    const raise = (id: number): string => `<rule id="${id}" level="12" overwrite="yes"/>`;
    writeFileSync(rules, `<group name="x,">${raise(601)}${raise(602)}</group>`);
    expect(checkFiles([mail, rules], 'wazuh')).toEqual([]);
  });
});

describe('further mistakes', () => {
  const places = (text: string): string[] => {
    return check(text).map((line) => line.replace(' error:', '').slice(0, 30));
  };

  test('are reported together if they are certain', () => {
    const text = [
      '<group name=“ossec”>',
      '  <!-- one -- two -->',
      '  <rule id=”601” level="12">',
      '    <description>a & b &amp; c &#38; "d" <!-- it’s fine --> 1 < 2</description>',
      '\u00a0 <\u00a0rule id="1"/>',
      '  <![CDATA[ & -- “ ]]>',
      '</group>',
    ].join('\n');
    expect(places(text)).toEqual([
      '1:13 this is a typographic quo',
      '2:12 a comment must not contai',
      '3:12 this is a typographic quo',
      '4:20 & begins an entity, but n',
      '4:63 < begins a tag, but no va',
      '5:4 this is a non-breaking or ',
    ]);
  });

  test('are not listed beyond the first 50', () => {
    const found = check('&\n'.repeat(1000));
    expect(found).toHaveLength(51);
    expect(found.at(-1)).toBe('51:1 error: further mistakes follow, which are not listed');
  });

  // Random combinations of these pieces must be judged alike by the typing checks and the parser.
  const PIECES = [
    ...[
      '<a b="c">',
      '</a>',
      '<a b=“c”>',
      '<a\u00a0b="c"/>',
      '<a b="c & d"/>',
      "<a b='>'/>",
      '< a>',
    ],
    ...['<!-- x -->', '<!-- x -- y -->', '<!-- x --->', '<![CDATA[ & ]]>', '<?x y?>'],
    ...['&amp;', '&', '&#38;', '&nbsp;', 'it’s', '\u00a0', ' 1 > 0 ', '\n'],
  ];

  test('are mistakes for the parser as well', () => {
    let seed = 1;
    const next = (below: number): number => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed % below;
    };
    const contradictions = Array.from({ length: 3000 }, () => {
      return Array.from({ length: 1 + next(4) }, () => PIECES[next(PIECES.length)]).join('');
    }).filter(
      (text) => findSlips(text).next().done !== true && readXml(text).mistakes.length === 0,
    );
    expect(contradictions).toEqual([]);
  });

  test('take time proportional to the text, even in a hostile file', () => {
    for (const piece of ['</a>', '<a b="', '<!-- -- -->', '&', '<'])
      check(piece.repeat(3_000_000 / piece.length));
  });

  test('are not found in a correct file', () => {
    for (const file of filesIn('good'))
      expect([...findSlips(readFileSync(file, 'utf8'))]).toEqual([]);
  });
});

describe('the check of mail', () => {
  const GLOBAL = ['email_to', 'smtp_server', 'email_from'].map((name) => `<${name}>x</${name}>`);
  const conf = (alertLevel: string, mail: string): string =>
    `<ossec_config><global><email_notification>yes</email_notification>${GLOBAL.join('')}</global>
<alerts>${alertLevel}</alerts>
<email_alerts><email_to>x</email_to>${mail}</email_alerts></ossec_config>`;
  const from = (level: number | string): string =>
    `<email_alert_level>${level}</email_alert_level>`;
  const rule = (level: number, option = ''): string =>
    `<group name="x,"><rule id="601" level="${level}" overwrite="yes">${
      option === '' ? '' : `<options>${option}</options>`
    }</rule></group>`;

  test.each([
    [
      'warns of a level below email_alert_level',
      from(12),
      '<level>7</level>',
      '',
      'level 7 to 11 send mail only',
    ],
    ['accepts a level equal to email_alert_level', from(12), '<level>12</level>', '', null],
    ['rejects a level above 16', from(12), '<level>17</level>', '', '"17" is not an alert level'],
    ['rejects a word as level', from(12), '<level>high</level>', '', '"high" is not an alert'],
    ['rejects a word as email_alert_level', from('twelve'), '', '', '"twelve" is not an alert'],
    ['rejects an email_alert_level of 0', from(0), '', '', '"0" is not an alert level'],
    [
      'rejects a word as log_alert_level',
      '<log_alert_level>x</log_alert_level>',
      '',
      '',
      '"x" is not an alert level',
    ],
    [
      'reports a rule below email_alert_level',
      from(12),
      '<rule_id>601</rule_id>',
      rule(11),
      '601 (level 11)',
    ],
    ['accepts a rule at email_alert_level', from(12), '<rule_id>601</rule_id>', rule(12), null],
    ['accepts a rule at the default level 7', '', '<rule_id>601</rule_id>', rule(7), null],
    [
      'reports a rule below the default level 7',
      '',
      '<rule_id>601</rule_id>',
      rule(6),
      'from level 7 upwards',
    ],
    [
      'accepts a rule with the option alert_by_email at any level',
      from(12),
      '<rule_id>601</rule_id>',
      rule(3, 'alert_by_email'),
      null,
    ],
    [
      'reports a rule with the option no_email_alert',
      from(12),
      '<rule_id>601</rule_id>',
      rule(15, 'no_email_alert'),
      'the option no_email_alert',
    ],
    [
      'reports a rule below the <level> of the mail alert',
      from(3),
      '<rule_id>601</rule_id><level>10</level>',
      rule(5),
      'are below level 10',
    ],
  ])('%s', (_, alertLevel, mail, rules, cause) => {
    const found = check(`${conf(alertLevel, mail)}\n${rules}`);
    expect(found).toEqual(cause === null ? [] : [expect.stringContaining(cause)]);
  });
});

describe('files that are checked together', () => {
  const RESPONSE = `<ossec_config><active-response>
<command>drop</command><location>local</location><rules_id>5712</rules_id><timeout>60</timeout>
</active-response></ossec_config>`;
  const command = (allowed: string): string =>
    `<ossec_config><command><name>drop</name><executable>firewall-drop</executable>
<timeout_allowed>${allowed}</timeout_allowed></command></ossec_config>`;
  function together(...texts: readonly string[]): string[] {
    const paths = texts.map((text, index) => {
      writeFileSync(join(directory, `${index}.conf`), text);
      return join(directory, `${index}.conf`);
    });
    return checkFiles(paths, 'wazuh').map(
      ({ file, cause, fix }) => `${basename(file)}: ${cause}; ${fix}`,
    );
  }

  test('share their commands', () => {
    expect(together(RESPONSE)).toEqual([expect.stringContaining('"drop" is not defined')]);
    expect(together(RESPONSE, command('yes'))).toEqual([]);
  });

  test('are each reported with their own positions', () => {
    expect(together(command('no'), RESPONSE)).toEqual([
      expect.stringMatching(/^1\.conf: the command "drop" does not allow .* line 1 of .*0\.conf$/),
    ]);
  });
});

test('an agent with disabled active responses is reported', () => {
  const agent = readFileSync(join(FIXTURES, 'good/agent-as-installed.conf'), 'utf8');
  const at = agent.indexOf('<active-response>');
  const off = agent.slice(0, at) + agent.slice(at).replace('<disabled>no<', '<disabled>yes<');
  expect(check(off)).toEqual([expect.stringContaining('nothing is ever blocked')]);
});

test('an agent that does not read the log is reported, unless the agent.conf of its group reads it', () => {
  const agent = readFileSync(join(FIXTURES, 'good/agent-as-installed.conf'), 'utf8');
  const deaf = agent.replaceAll('active-responses.log', 'other.log');
  expect(check(deaf)).toEqual([
    expect.stringContaining('reads active-responses.log: blocks raise'),
  ]);
  const group = join(directory, 'agent.conf');
  const localfile = '<location>/var/ossec/logs/active-responses.log</location>';
  writeFileSync(group, `<agent_config><localfile>${localfile}</localfile></agent_config>`);
  expect(checkFiles([join(directory, 'ossec.conf'), group], 'wazuh')).toEqual([]);
});

test('the agent.conf of a group can be empty, but an ossec.conf cannot', () => {
  expect(check('<!-- nothing -->\n', 'wazuh', 'agent.conf')).toEqual([]);
  expect(check('<agents/>', 'wazuh', 'agent.conf')).toHaveLength(1);
  expect(check('', 'wazuh', 'ossec.conf')).toEqual([expect.stringContaining('neither')]);
});

test.each(['high', '0', '17', '6.5'])('a response for level %s is reported', (level) => {
  const conf = readFileSync(join(FIXTURES, 'good/response-in-second-root.conf'), 'utf8');
  const byLevel = conf.replace(/<rules_id>.*<\/rules_id>/, `<level>${level}</level>`);
  expect(check(byLevel)).toEqual([expect.stringContaining(`"${level}" is not an alert level`)]);
});

test('a log whose name ends in a non-breaking space is reported', () => {
  const conf = (location: string): string =>
    `<ossec_config><localfile><log_format>syslog</log_format>
<location>${location}</location><command>grep “x”</command></localfile></ossec_config>`;
  expect(check(conf('/var/ossec/logs/active-responses.log'))).toEqual([]);
  expect(check(conf('/var/ossec/logs/active-responses.log\u00a0'))).toEqual([
    expect.stringContaining('the value of <location> contains a non-breaking'),
  ]);
});

test('an invalid line of ar.conf and differing timeouts are reported', () => {
  const lines = 'a0 - firewall-drop - 60\nb - firewall-drop\nc5 - firewall-drop - 600\n';
  expect(check(lines, 'wazuh', 'ar.conf')).toEqual([
    '2:1 error: execd cannot parse this line; the form is NAME - EXECUTABLE - SECONDS',
    expect.stringMatching(/^3:1 warning: .*timeouts of 60, 600 seconds/),
  ]);
});

test('the line is shown shortened, with control characters escaped', () => {
  const file = join(directory, 'ossec.conf');
  writeFileSync(file, `<ossec_config>${'x'.repeat(300)}\u001b[2J & </ossec_config>`);
  const [, line = '', caret = ''] = checkFiles([file], 'wazuh').flatMap(formatFinding);
  expect(line.length).toBeLessThan(130);
  expect(`${line}${caret}`).not.toContain('\u001b');
  expect(line.indexOf('\\u001b')).toBe(caret.indexOf('^'));
});
