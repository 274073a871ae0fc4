// Real-life shaped files, good and each broken in one way; and what `config snippet` prints is what `config check` wants.
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { checkFiles, formatFinding } from '../../../src/manager/check-files.ts';
import { renderSnippet, type SnippetRequest } from '../../../src/cli/snippet.ts';
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

/** Wazuh's files may have several roots, XML may not: people put one around them, and so does this. */
function xmllintAccepts(bytes: Buffer): boolean {
  const wrapped = Buffer.concat([Buffer.from('<all>'), bytes, Buffer.from('</all>')]);
  const { status, error } = spawnSync('xmllint', ['--noout', '-'], { input: wrapped });
  if (error !== undefined) throw error;
  return status === 0;
}

describe('a file that is as it should be has no finding', () => {
  test.each(filesIn('good').map((file) => [basename(file), file]))('%s', (_, file) => {
    expect(checkFiles([file], basename(file).startsWith('ossec-') ? 'ossec' : 'wazuh')).toEqual([]);
  });
});

/** Where, how bad, and the words that name the cause. */
const DIAGNOSES: readonly (readonly [
  file: string,
  place: string,
  severity: string,
  cause: string,
])[] = [
  ['ampersand.conf', '13:17', 'error', 'an & begins an entity'],
  ['bom.conf', '1:1', 'error', 'byte order mark'],
  ['closes-nothing.conf', '14:1', 'error', '</ossec_config> closes nothing'],
  ['comment-hyphens.conf', '2:15', 'error', 'two hyphens in a row'],
  ['comment-open.conf', '13:3', 'error', 'this comment is never closed'],
  ['curly-quotes.xml', '1:13', 'error', 'typographic quote'],
  ['duplicate-of-shipped-rule.xml', '2:3', 'error', '601 would be a duplicate'],
  ['expect.conf', '5:5', 'warning', 'ignored by Wazuh 4.2'],
  ['latin1.conf', '2:9', 'error', 'no UTF-8'],
  ['less-than.conf', '11:14', 'error', 'a < begins a tag'],
  ['mail-below-level.conf', '10:14', 'error', '601 (level 3), 602 (level 3)'],
  ['mail-is-off.conf', '3:5', 'error', 'email_notification is not yes'],
  ['nbsp-in-tag.xml', '2:8', 'error', 'non-breaking'],
  ['nbsp-in-value.conf', '11:18', 'error', 'non-breaking'],
  ['never-closed.conf', '1:1', 'error', '<ossec_config> is never closed'],
  ['no-agent-id.conf', '9:15', 'error', 'defined-agent'],
  ['path-as-executable.conf', '4:17', 'error', '<executable> is a path'],
  ['rule-id-is-a-word.conf', '10:20', 'error', '"sshd" is no id'],
  ['timeout-not-allowed.conf', '11:5', 'error', 'does not allow a timeout'],
  ['two-timeouts.conf', '13:3', 'warning', 'timeouts of 3600, 600 seconds'],
  ['unclosed.conf', '6:3', 'error', '<executable> of line 4 is still open'],
  ['unknown-command.conf', '8:14', 'error', 'no command is called "firewall_drop"'],
  ['white-list.conf', '3:17', 'error', 'neither an address nor a netblock'],
];

describe('a broken file is reported with the place and the reason', () => {
  test.each(DIAGNOSES)('%s at %s: %s, %s', (name, place, severity, cause) => {
    const findings = checkFiles([join(FIXTURES, 'broken', name)], 'wazuh');
    // A value with a strange character is not readable either.
    const found = findings.at(-1);
    expect(found?.severity).toBe(severity);
    expect(found?.cause).toContain(cause);
    expect(`${found?.line}:${found?.column}`).toBe(place);
    expect(findings.length).toBe(name === 'nbsp-in-value.conf' ? 2 : 1);
    expect(found?.fix).not.toBe('');
  });

  test('no fixture is left out', () => {
    expect(DIAGNOSES.map(([name]) => name)).toEqual(
      filesIn('broken').map((file) => basename(file)),
    );
  });
});

describe('xmllint calls the same files well-formed', () => {
  test.each([...filesIn('good'), ...filesIn('broken')].map((file) => [basename(file), file]))(
    '%s',
    (name, file) => {
      const bytes = readFileSync(file);
      // What is no UTF-8 is refused by us before the parser sees it.
      const ours = readXml(bytes.toString('utf8')).mistakes.length === 0 && name !== 'latin1.conf';
      expect(xmllintAccepts(bytes)).toBe(ours);
    },
  );
});

/** What people and programs put into XML by mistake or on purpose. */
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

const REQUEST: SnippetRequest = {
  wazuh: '4',
  timeoutSeconds: 3600,
  ruleIds: ['5712', '31151'],
  location: 'local',
  agentId: null,
  allow: ['192.0.2.0/24', '2001:db8::1'],
  mailTo: 'o&o@example.org',
};

describe('what config snippet prints is well-formed and has no finding', () => {
  test.each<[string, Partial<SnippetRequest>]>([
    ['Wazuh 4', {}],
    ['OSSEC', { wazuh: 'ossec' }],
    ['neither mail nor white list', { mailTo: null, allow: [] }],
    ['one agent', { location: 'defined-agent', agentId: '002' }],
    ['all agents', { location: 'all' }],
  ])('%s', (_, change) => {
    const request = { ...REQUEST, ...change };
    const text = `${renderSnippet(request).join('\n')}\n`;
    expect(check(text, request.wazuh === 'ossec' ? 'ossec' : 'wazuh')).toEqual([]);
    expect(xmllintAccepts(Buffer.from(text))).toBe(true);
  });

  test('without a timeout, only that is warned of', () => {
    const text = renderSnippet({ ...REQUEST, timeoutSeconds: null }).join('\n');
    expect(check(text)).toEqual([expect.stringContaining('stays blocked for ever')]);
  });

  test('for Wazuh 5 names the fields of the channel', () => {
    const text = renderSnippet({ ...REQUEST, wazuh: '5' }).join('\n');
    expect(text).toMatch(/stateful_timeout +3600/);
    expect(text).toContain('source.ip');
  });
});

describe('what surrounds a file decides with', () => {
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

  test('a rule that no file of the home defines never fires', () => {
    const file = makeHome(0o750);
    writeFileSync(
      join(directory, 'ruleset/rules/1.xml'),
      '<group name="x,"><rule id="5712" level="10"/></group>',
    );
    expect(causes(file)).toEqual([expect.stringContaining('no rule file here defines rule 31151')]);
  });

  test('an executable that others may write is an error', () => {
    expect(causes(makeHome(0o770))).toEqual([expect.stringContaining('mode 0770')]);
    expect(causes(makeHome(0o750))).toEqual([]);
  });

  test('an executable that is not there is a warning, since agents run it', () => {
    const file = makeHome(0o750);
    rmSync(join(directory, 'active-response/bin/firewall-drop'));
    expect(causes(file)).toEqual([expect.stringContaining('does not exist on this host')]);
  });

  test('a rule that is raised in another file mails', () => {
    const mail = join(FIXTURES, 'broken/mail-below-level.conf');
    const rules = join(directory, 'local_rules.xml');
    const raise = (id: number): string => `<rule id="${id}" level="12" overwrite="yes"/>`;
    writeFileSync(rules, `<group name="x,">${raise(601)}${raise(602)}</group>`);
    expect(checkFiles([mail, rules], 'wazuh')).toEqual([]);
  });
});

describe('mistakes after the first', () => {
  const places = (text: string): string[] => {
    return check(text).map((line) => line.replace(' error:', '').slice(0, 30));
  };

  test('are reported wherever they are certain, all at once', () => {
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
      '1:13 here stands a typographic',
      '2:12 a comment may not contain',
      '3:12 here stands a typographic',
      '4:20 an & begins an entity in ',
      '4:63 a < begins a tag, and no ',
      '5:4 here stands a non-breaking',
    ]);
  });

  test('are not all reported where they are many', () => {
    const found = check('&\n'.repeat(1000));
    expect(found).toHaveLength(51);
    expect(found.at(-1)).toBe('51:1 error: further mistakes are not listed');
  });

  // Pieces from which people make files: whatever is put together, the two have to agree.
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

  test('are mistakes to the parser as well, which meets none where there are none', () => {
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

  test('take a time that grows with the text, however it is made to be hard', () => {
    for (const piece of ['</a>', '<a b="', '<!-- -- -->', '&', '<'])
      check(piece.repeat(3_000_000 / piece.length));
  });

  test('are none in a file that is as it should be', () => {
    for (const file of filesIn('good'))
      expect([...findSlips(readFileSync(file, 'utf8'))]).toEqual([]);
  });
});

describe('mail', () => {
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
      'a level below the one that mails',
      from(12),
      '<level>7</level>',
      '',
      'level 7 to 11 mail only',
    ],
    ['a level at the one that mails', from(12), '<level>12</level>', '', null],
    ['a level that no alert has', from(12), '<level>17</level>', '', '"17" is no level'],
    ['a level in words', from(12), '<level>high</level>', '', '"high" is no level'],
    ['an email_alert_level that is none', from('twelve'), '', '', '"twelve" is no level'],
    ['an email_alert_level of 0', from(0), '', '', '"0" is no level'],
    ['a log_alert_level that is none', '<log_alert_level>x</log_alert_level>', '', '', '"x" is no'],
    ['a rule below', from(12), '<rule_id>601</rule_id>', rule(11), '601 (level 11)'],
    ['a rule at it', from(12), '<rule_id>601</rule_id>', rule(12), null],
    ['a rule where nobody says from which level', '', '<rule_id>601</rule_id>', rule(7), null],
    ['a rule below 7 there', '', '<rule_id>601</rule_id>', rule(6), 'from level 7 on'],
    [
      'a rule that mails whatever its level',
      from(12),
      '<rule_id>601</rule_id>',
      rule(3, 'alert_by_email'),
      null,
    ],
    [
      'a rule that never mails',
      from(12),
      '<rule_id>601</rule_id>',
      rule(15, 'no_email_alert'),
      'no_email_alert keeps',
    ],
    [
      'a rule that mails, below the level that is asked for with it',
      from(3),
      '<rule_id>601</rule_id><level>10</level>',
      rule(5),
      'do not reach the level 10',
    ],
  ])('%s', (_, alertLevel, mail, rules, cause) => {
    const found = check(`${conf(alertLevel, mail)}\n${rules}`);
    expect(found).toEqual(cause === null ? [] : [expect.stringContaining(cause)]);
  });
});

describe('files that are named together', () => {
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

  test('have their commands in common', () => {
    expect(together(RESPONSE)).toEqual([expect.stringContaining('no command is called "drop"')]);
    expect(together(RESPONSE, command('yes'))).toEqual([]);
  });

  test('are reported each at its own place', () => {
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

test('an agent whose log is not read is reported, unless the file of its group reads it', () => {
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

test('the file of a group may be empty, and an ossec.conf may not', () => {
  expect(check('<!-- nothing -->\n', 'wazuh', 'agent.conf')).toEqual([]);
  expect(check('<agents/>', 'wazuh', 'agent.conf')).toHaveLength(1);
  expect(check('', 'wazuh', 'ossec.conf')).toEqual([expect.stringContaining('neither')]);
});

test.each(['high', '0', '17', '6.5'])('a response for alerts of level %s is reported', (level) => {
  const conf = readFileSync(join(FIXTURES, 'good/response-in-second-root.conf'), 'utf8');
  const byLevel = conf.replace(/<rules_id>.*<\/rules_id>/, `<level>${level}</level>`);
  expect(check(byLevel)).toEqual([expect.stringContaining(`"${level}" is no level`)]);
});

test('a log whose name ends in a space is reported', () => {
  const conf = (location: string): string =>
    `<ossec_config><localfile><log_format>syslog</log_format>
<location>${location}</location><command>grep “x”</command></localfile></ossec_config>`;
  expect(check(conf('/var/ossec/logs/active-responses.log'))).toEqual([]);
  expect(check(conf('/var/ossec/logs/active-responses.log\u00a0'))).toEqual([
    expect.stringContaining('the value of <location> contains a non-breaking'),
  ]);
});

test('a line of ar.conf that execd does not read, and timeouts that differ, are reported', () => {
  const lines = 'a0 - firewall-drop - 60\nb - firewall-drop\nc5 - firewall-drop - 600\n';
  expect(check(lines, 'wazuh', 'ar.conf')).toEqual([
    '2:1 error: execd does not understand this line',
    expect.stringMatching(/^3:1 warning: .*timeouts of 60, 600 seconds/),
  ]);
});

test('the line is shown as far as a terminal has room, with nothing that it would obey', () => {
  const file = join(directory, 'ossec.conf');
  writeFileSync(file, `<ossec_config>${'x'.repeat(300)}\u001b[2J & </ossec_config>`);
  const [, line = '', caret = ''] = checkFiles([file], 'wazuh').flatMap(formatFinding);
  expect(line.length).toBeLessThan(130);
  expect(`${line}${caret}`).not.toContain('\u001b');
  expect(line.indexOf('\\u001b')).toBe(caret.indexOf('^'));
});
