// Parses config.toml: the values of keys, the reports of mistakes, and the other keys despite mistakes.

import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { CLOUD_ADDRESS_FIELDS, DEFAULT_ADDRESS_FIELDS } from '../../../src/config/schema.ts';
import { parseConfig } from '../../../src/config/parse.ts';
import { formatProblem } from '../../../src/config/toml.ts';
import type { Config } from '../../../src/config/schema.ts';
import { POLICY_KEYS } from '../../../src/config/policy.ts';
import { DEFAULT_CONFIG, SCHEMA } from '../../../src/config/schema.ts';

const FILE = '/etc/firewall-drop/config.toml';

const parse = (text: string): { config: Config; problems: readonly string[] } => {
  const { config, problems } = parseConfig(text, FILE);
  return { config, problems: problems.map(formatProblem) };
};

/** Returns the problems of a text, as `line: message`. */
const problemsOf = (text: string): readonly string[] =>
  parse(text).problems.map((problem) => problem.slice(FILE.length + 1));

test('an empty file gives the defaults without problems', () => {
  expect(parse('')).toEqual({ config: DEFAULT_CONFIG, problems: [] });
  expect(parse('# nothing\n[log]\n[limits]\n').problems).toEqual([]);
});

test('the defaults are as documented', () => {
  expect(DEFAULT_CONFIG).toStrictEqual({
    log: { format: 'ossec', programName: undefined, level: 'warn' },
    firewall: {
      backend: 'auto',
      promoteAt: 100,
      setName: 'firewall-drop',
      maxEntries: 131_072,
      variant: 'auto',
      chains: ['INPUT', 'FORWARD'],
      docker: true,
      killConnections: false,
      keepOnAgentStop: false,
      lockWaitSeconds: 10,
      programTimeoutSeconds: 15,
    },
    protect: {
      allow: [],
      allowFiles: [],
      resolvers: true,
      gateways: true,
      manager: true,
      whiteList: true,
    },
    alert: {
      addressFields: DEFAULT_ADDRESS_FIELDS,
      wazuh5Fields: ['source.ip'],
      cloudFields: false,
    },
    limits: { totalSeconds: 20, lockWaitSeconds: 10, graceSeconds: 60, bansPerMinute: 300 },
    escalation: { timeouts: [], window: '30d' },
    aggregate: { ipv6Prefix: 128, ipv4Prefix: 24, ipv4Count: 0 },
    manual: { timeout: '24h' },
    history: { keepDays: 90 },
    policy: [],
  });
});

test.each([
  ['log', 'format = "both"', { log: { format: 'both' } }],
  ['log', 'program_name = "drop.sh"', { log: { programName: 'drop.sh' } }],
  ['log', 'level = "silent"', { log: { level: 'silent' } }],
  ['firewall', 'backend = "ipset"', { firewall: { backend: 'ipset' } }],
  ['firewall', 'set_name = "ours"', { firewall: { setName: 'ours' } }],
  ['firewall', 'max_entries = 2000', { firewall: { maxEntries: 2000 } }],
  ['firewall', 'variant = "legacy"', { firewall: { variant: 'legacy' } }],
  ['firewall', 'chains = ["f2b_INPUT-1"]', { firewall: { chains: ['f2b_INPUT-1'] } }],
  ['firewall', 'docker = false', { firewall: { docker: false } }],
  ['firewall', 'kill_connections = true', { firewall: { killConnections: true } }],
  ['firewall', 'lock_wait_seconds = 60', { firewall: { lockWaitSeconds: 60 } }],
  ['firewall', 'program_timeout_seconds = 1', { firewall: { programTimeoutSeconds: 1 } }],
  [
    'protect',
    'allow = ["192.0.2.7", "2001:db8::/32"]',
    { protect: { allow: ['192.0.2.7', '2001:db8::/32'] } },
  ],
  [
    'protect',
    "allow_files = ['/etc/allow list']",
    { protect: { allowFiles: ['/etc/allow list'] } },
  ],
  ['protect', 'resolvers = false', { protect: { resolvers: false } }],
  ['protect', 'gateways = false', { protect: { gateways: false } }],
  ['protect', 'manager = false', { protect: { manager: false } }],
  ['protect', 'white_list = false', { protect: { whiteList: false } }],
  ['alert', 'address_fields = ["data.x_y-z.ip"]', { alert: { addressFields: ['data.x_y-z.ip'] } }],
  ['limits', 'total_seconds = 2', { limits: { totalSeconds: 2 } }],
  ['limits', 'lock_wait_seconds = 0', { limits: { lockWaitSeconds: 0 } }],
  ['limits', 'grace_seconds = 86_400', { limits: { graceSeconds: 86_400 } }],
  ['history', 'keep_days = 3650', { history: { keepDays: 3650 } }],
])('[%s] %s', (section, line, expected) => {
  const { config, problems } = parse(`[${section}]\n${line}\n`);
  expect(problems).toEqual([]);
  expect(config).toMatchObject(expected);
});

describe('the fields of cloud services', () => {
  test('come after the default fields', () => {
    const { config } = parse('[alert]\ncloud_fields = true\n');
    expect(config.alert.addressFields).toEqual([
      ...DEFAULT_ADDRESS_FIELDS,
      ...CLOUD_ADDRESS_FIELDS,
    ]);
  });

  test('come after configured fields, without duplicates', () => {
    const fields = '["data.aws.client_ip", "data.own"]';
    const { config } = parse(`alert = { cloud_fields = true, address_fields = ${fields} }\n`);
    expect(config.alert.addressFields.slice(0, 2)).toEqual(['data.aws.client_ip', 'data.own']);
    expect(config.alert.addressFields).toHaveLength(1 + CLOUD_ADDRESS_FIELDS.length);
  });
});

test('a repeated entry counts once, because a chain must not get two rules', () => {
  const { config } = parse('firewall.chains = ["INPUT", "FORWARD", "INPUT"]');
  expect(config.firewall.chains).toEqual(['INPUT', 'FORWARD']);
});

test('a problem is formatted as file, line and message, which editors can open', () => {
  expect(parse('\n[log]\nfromat = "both"\n').problems).toEqual([
    `${FILE}:3: unknown key \`log.fromat\`: the keys of [log] are format, program_name, level`,
  ]);
});

const TABLES =
  'log, firewall, protect, alert, limits, escalation, aggregate, manual, history, policy';
const LOG_KEYS = 'the keys of [log] are format, program_name, level';

describe('an unknown name is reported with the known ones', () => {
  test.each([
    ['a key', '[log]\nfromat = "both"', `2: unknown key \`log.fromat\`: ${LOG_KEYS}`],
    ['capitals', '[log]\nFormat = "both"', `2: unknown key \`log.Format\`: ${LOG_KEYS}`],
    ['no table', 'allow = ["192.0.2.1"]', `1: unknown key \`allow\`: the tables are ${TABLES}`],
    ['dotted', 'log.fromat = "both"', `1: unknown key \`log.fromat\`: ${LOG_KEYS}`],
    ['quoted', '["log"]\n"fromat" = "both"', `2: unknown key \`log.fromat\`: ${LOG_KEYS}`],
    ['inline', '\nlog = { fromat = "both" }', `2: unknown key \`log.fromat\`: ${LOG_KEYS}`],
    ['a table', '\n[logs]\nx = 1', `2: unknown table \`logs\`: the tables are ${TABLES}`],
    ['an array', '[[quux]]\n', `1: unknown key \`quux\`: the tables are ${TABLES}`],
  ])('%s', (_, text, problem) => {
    expect(problemsOf(text)).toEqual([problem]);
  });

  test('in a bounded message on one line', () => {
    const [problem = ''] = problemsOf(`"a\\nb${'c'.repeat(5000)}" = 1`);
    expect(problem).toMatch(/^1: unknown key `"a\\nbc+…`: the tables are/);
    expect(problem.length).toBeLessThan(350);
  });

  test.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty'])(
    'even if every object inherits it: %s',
    (name) => {
      expect(problemsOf(`${name} = 1\n[log]\n${name} = 2`)).toHaveLength(2);
      expect(problemsOf(`[${name}]\nformat = "both"`)).toHaveLength(1);
    },
  );
});

describe('an invalid value gives the default of its own key', () => {
  test.each([
    [
      '[log]\nformat = "json"',
      '2: `log.format` must be "ossec" or "wazuh" or "both", not "json"; the default is used: "ossec"',
    ],
    [
      '[log]\nformat = true',
      '2: `log.format` must be "ossec" or "wazuh" or "both", not true; the default is used: "ossec"',
    ],
    [
      '[log]\nprogram_name = "a b"',
      '2: `log.program_name` must be 1 to 64 letters, digits, dots, dashes or underscores in quotes, not "a b"; ignored',
    ],
    [
      '[log]\nprogram_name = ""',
      '2: `log.program_name` must be 1 to 64 letters, digits, dots, dashes or underscores in quotes, not ""; ignored',
    ],
    [
      '[log.level]\nx = 1',
      '1: `log.level` must be "trace" or "debug" or "info" or "warn" or "error" or "fatal" or "silent", not a table; the default is used: "warn"',
    ],
    [
      '[firewall]\n\nbackend = "pf"',
      '3: `firewall.backend` must be "auto" or "iptables" or "ipset" or "nftables", not "pf"; the default is used: "auto"',
    ],
    [
      'firewall.docker = "yes"',
      '1: `firewall.docker` must be true or false, not "yes"; the default is used: true',
    ],
    [
      '[limits]\ntotal_seconds = 1',
      '2: `limits.total_seconds` must be a whole number from 2 to 120, not 1; the default is used: 20',
    ],
    [
      '[manual]\ntimeout = "0s"',
      '2: `manual.timeout` must be a length of time such as "10m", "1h30m" or "7d", or "never", not "0s"; the default is used: "24h"',
    ],
    [
      '[manual]\ntimeout = "999999999w"',
      '2: `manual.timeout` must be a length of time such as "10m", "1h30m" or "7d", or "never", not "999999999w"; the default is used: "24h"',
    ],
    [
      '[limits]\ntotal_seconds = 121',
      '2: `limits.total_seconds` must be a whole number from 2 to 120, not 121; the default is used: 20',
    ],
    [
      '[limits]\ntotal_seconds = 2.5',
      '2: `limits.total_seconds` must be a whole number from 2 to 120, not 2.5; the default is used: 20',
    ],
    [
      '[limits]\ntotal_seconds = nan',
      '2: `limits.total_seconds` must be a whole number from 2 to 120, not NaN; the default is used: 20',
    ],
    [
      '[limits]\ntotal_seconds = "20"',
      '2: `limits.total_seconds` must be a whole number from 2 to 120, not "20"; the default is used: 20',
    ],
    ['[limits]\ntotal_seconds = 99999999999999999999', null],
    [
      '[limits]\ntotal_seconds = 9007199254740993',
      '2: `limits.total_seconds` must be a whole number from 2 to 120, not 9007199254740993; the default is used: 20',
    ],
    [
      '[limits]\ntotal_seconds = 2024-05-07',
      '2: `limits.total_seconds` must be a whole number from 2 to 120, not a date; the default is used: 20',
    ],
    [
      '[history]\nkeep_days = -1',
      '2: `history.keep_days` must be a whole number from 0 to 3650, not -1; the default is used: 90',
    ],
    [
      '[history]\nkeep_days = [1, 2]',
      '2: `history.keep_days` must be a whole number from 0 to 3650, not [1, 2]; the default is used: 90',
    ],
    ['\nlog = "ossec"', '2: `log` must be a table: write [log]'],
  ])('%j', (text, problem) => {
    const { config } = parse(text);
    expect(config).toStrictEqual(DEFAULT_CONFIG);
    if (problem === null) expect(problemsOf(text)).toHaveLength(1);
    else expect(problemsOf(text)).toEqual([problem]);
  });
});

describe('a list', () => {
  test('of allowed addresses keeps its valid entries, and the line of each invalid one is reported', () => {
    const text = `[protect]
allow = [
  "192.0.2.10",
  "192.0.2.1000", # one digit too many
  "198.51.100.0/24",
  '192.0.2',
  "192.0.2.0/24;", 17,
]
resolvers = false
`;
    const { config, problems } = parse(text);
    expect(config.protect.allow).toEqual(['192.0.2.10', '198.51.100.0/24']);
    expect(config.protect.resolvers).toBe(false);
    expect(problems).toEqual([
      `${FILE}:2: \`protect.allow\` 17 is not an address or a network; it is ignored`,
      `${FILE}:4: \`protect.allow\` "192.0.2.1000" is not an address or a network; it is ignored`,
      `${FILE}:6: \`protect.allow\` "192.0.2" is not an address or a network; it is ignored`,
      `${FILE}:7: \`protect.allow\` "192.0.2.0/24;" is not an address or a network; it is ignored`,
    ]);
  });

  test('without brackets is read as one entry and reported', () => {
    const { config, problems } = parse('[protect]\nallow = "192.0.2.10"\n');
    expect(config.protect.allow).toEqual(['192.0.2.10']);
    expect(problems).toEqual([
      `${FILE}:2: \`protect.allow\` must be a list in brackets, not "192.0.2.10"; read as ["192.0.2.10"]`,
    ]);
  });

  test('without brackets makes a [[policy]] entry invalid, and is not read', () => {
    expect(problemsOf('[[policy]]\nrule_id = "5710"\naction = "ignore"')).toEqual([
      '2: [[policy]] 1: `rule_id` must be a list in brackets, not "5710"; the entry is ignored',
    ]);
  });

  test('of addresses can be one text with commas', () => {
    const { config, problems } = parse('[protect]\nallow = "192.0.2.10, 192.0.2.11"\n');
    expect(config.protect.allow).toEqual(['192.0.2.10', '192.0.2.11']);
    expect(problems).toEqual([
      `${FILE}:2: \`protect.allow\` must be a list in brackets, not "192.0.2.10, 192.0.2.11"; read as ["192.0.2.10", "192.0.2.11"]`,
    ]);
  });

  test('of another type gives the default', () => {
    expect(problemsOf('[firewall]\nchains = 5')).toEqual([
      '2: `firewall.chains` must be a list in brackets, not 5; the default is used: ["INPUT", "FORWARD"]',
    ]);
  });

  test.each(['chains = []', 'chains = ["-j"]'])(
    'of chains is never empty, because a block without a chain has no effect: %s',
    (line) => {
      const { config, problems } = parse(`[firewall]\n${line}\n`);
      expect(config.firewall.chains).toEqual(['INPUT', 'FORWARD']);
      expect(problems.at(-1)).toContain('must have at least one valid entry; the default is used');
    },
  );

  test.each([
    ['firewall.chains', ['-I', '--flush', 'A B', 'A\n', '', 'A'.repeat(29), 'INPUT;']],
    ['protect.allow_files', ['etc/allow', '', '/', '/a\u0000b', '/a\nb', '~/allow']],
    ['alert.address_fields', ['', '.', 'a..b', 'a.b.', 'a b', '$.data']],
  ])('for %s refuses entries of another form', (name, entries) => {
    const text = `${name} = [${entries.map((entry) => JSON.stringify(entry)).join(', ')}]`;
    const said = problemsOf(text).filter((problem) => problem.endsWith('; it is ignored'));
    expect(said).toHaveLength(entries.length);
  });
});

test('valid keys apply despite invalid ones, and problems are ordered by line', () => {
  const text = `
[history]
keep_days = 7
keep_day = 8

[log]
format = "wazuh"
level = "loud"

[limit]
total_seconds = 30
[firewall]
docker = false
chains = "INPUT"
`;
  const { config, problems } = parse(text);
  expect(problems.map((problem) => problem.split(':')[1])).toEqual(['4', '8', '10', '14']);
  expect(config).toStrictEqual({
    ...DEFAULT_CONFIG,
    history: { keepDays: 7 },
    log: { ...DEFAULT_CONFIG.log, format: 'wazuh' },
    firewall: { ...DEFAULT_CONFIG.firewall, docker: false, chains: ['INPUT'] },
  });
});

describe('the table [protect] is doubtful', () => {
  const doubtfulIn = (text: string): readonly string[] => parseConfig(text, FILE).doubtful;

  test.each([
    ['for a value of another type', 'gateways = "no"', ['gateways']],
    ['for a text instead of a list', 'allow = "192.0.2.10"', ['allow']],
    ['for a list with an invalid entry', 'allow = ["192.0.2.10", "192.0.2"]', ['allow']],
    ['for no key without mistakes', 'allow = []\nmanager = false', []],
  ])('%s', (_, line, keys) => {
    expect(doubtfulIn(`[protect]\n${line}\n`)).toEqual(keys);
  });

  test.each([
    ['a misspelt key', '[protect]\nalow = ["192.0.2.10"]\nmanager = true\n'],
    ['a misspelt table', '[protct]\nallow = ["192.0.2.10"]\n[protect]\nmanager = true\n'],
    ['a key outside of its table', 'allow = ["192.0.2.10"]\n[protect]\nmanager = true\n'],
  ])('for every missing key in a file with %s', (_, text) => {
    expect(doubtfulIn(text)).toEqual(['allow', 'allowFiles', 'resolvers', 'gateways', 'whiteList']);
  });

  test('for every key of invalid TOML', () => {
    expect(doubtfulIn('[[[')).toEqual(Object.keys(DEFAULT_CONFIG.protect));
  });

  test('for no key because of a mistake in another table', () => {
    expect(doubtfulIn('[log]\nfromat = "both"\nlevel = 1\n')).toEqual([]);
  });
});

describe('invalid TOML', () => {
  test.each([
    ['[log]\nformat = "both\n', 2],
    ['[log]\nformat = both\n', 2],
    ['[log]\nlevel = "info"\n\nlevel = "warn"\n', 4],
    ['[log\n', 1],
    ['\r\n\r\nthis is not it', 3],
    ['[log]\n[firewall]\n[log]\n', 3],
    [`x = ${'['.repeat(5000)}`, 1],
    ['\u0000', 1],
  ])('gives all defaults and one problem with its line: %j', (text, line) => {
    const { config, problems } = parse(text);
    expect(config).toStrictEqual(DEFAULT_CONFIG);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(
      new RegExp(
        `^${FILE}:${line}: invalid TOML: .+; the whole file is ignored and the defaults are used; addresses that it protected before stay protected$`,
      ),
    );
  });
});

test('byte order marks and DOS line ends are accepted', () => {
  const { config, problems } = parse('\uFEFF[log]\r\nformat = "both"\r\nlevle = "info"\r\n');
  expect(config.log.format).toBe('both');
  expect(problems).toEqual([`${FILE}:3: unknown key \`log.levle\`: ${LOG_KEYS}`]);
});

test('no text makes the parser throw', () => {
  const line = fc.oneof(
    fc.string(),
    fc.constantFrom(
      '[log]',
      '[protect]',
      'allow = ["192.0.2.1",',
      ']',
      'level = "info"',
      "'''",
      'a.b = {}',
    ),
  );
  fc.assert(
    fc.property(fc.array(line), (lines) => {
      const { problems } = parseConfig(lines.join('\n'), FILE);
      for (const problem of problems) expect(formatProblem(problem)).not.toContain('\n');
    }),
  );
});

describe('the copy in the state', () => {
  const name = (pattern: RegExp): fc.Arbitrary<string> => fc.stringMatching(pattern);
  const written = fc.record({
    format: fc.constantFrom('ossec', 'wazuh', 'both'),
    programName: fc.option(name(/^[A-Za-z0-9._-]{1,64}$/)),
    chains: fc.array(name(/^[A-Za-z0-9_][A-Za-z0-9_-]{0,27}$/), { minLength: 1, maxLength: 5 }),
    docker: fc.boolean(),
    allow: fc.array(fc.oneof(fc.ipV4(), fc.ipV6()), { maxLength: 5 }),
    allowFiles: fc.array(name(/^\/[\u0020-\u007e\u00a1-\u00ff]{1,30}$/u), { maxLength: 3 }),
    cloudFields: fc.boolean(),
    graceSeconds: fc.integer({ min: 0, max: 86_400 }),
  });
  const textOf = (values: typeof written extends fc.Arbitrary<infer T> ? T : never): string => `
log.format = ${JSON.stringify(values.format)}
${values.programName === null ? '' : `log.program_name = ${JSON.stringify(values.programName)}`}
firewall.chains = ${JSON.stringify(values.chains)}
firewall.docker = ${values.docker ? 'true' : 'false'}
protect.allow = ${JSON.stringify(values.allow)}
protect.allow_files = ${JSON.stringify(values.allowFiles)}
alert.cloud_fields = ${values.cloudFields ? 'true' : 'false'}
limits.grace_seconds = ${values.graceSeconds}
`;

  test('of any configuration is read back exactly', () => {
    fc.assert(
      fc.property(written, (values) => {
        const { config, problems } = parse(textOf(values));
        expect(problems).toEqual([]);
        expect(JSON.parse(JSON.stringify(config))).toEqual(config);
      }),
    );
  });

  test('has 0 instead of -0, which JSON lacks', () => {
    const { config } = parse('history.keep_days = -0');
    expect(JSON.parse(JSON.stringify(config))).toEqual(config);
  });
});

describe('packaging/config.toml', () => {
  const example = readFileSync(`${__dirname}/../../../packaging/config.toml`, 'utf8');

  test('documents each key and no other', () => {
    const tables = example.split(/^(?=\[)/m).slice(1);
    const named = tables.flatMap((table) => {
      const section = /^\[(.*)\]/.exec(table)?.[1] ?? '';
      const keys = table.matchAll(/^# .+\n#([a-z0-9_]+) = /gm);
      return Array.from(keys, ([, key = '']) => `${section}.${key}`);
    });
    expect(named).toEqual(
      Object.entries(SCHEMA).flatMap(([section, keys]) => {
        return Object.keys(keys).map((key) => `${section}.${key}`);
      }),
    );
    const ofPolicy = example.matchAll(/^# ([a-z_]+): \S/gm);
    expect(Array.from(ofPolicy, ([, key]) => key)).toEqual(
      expect.arrayContaining(Object.keys(POLICY_KEYS)),
    );
  });

  test('changes nothing as packaged', () => {
    expect(parse(example)).toEqual({ config: DEFAULT_CONFIG, problems: [] });
  });

  test('shows every key with its default', () => {
    const { config, problems } = parse(example.replace(/^#(?=[a-z0-9_]+ = )/gm, ''));
    expect(problems).toEqual([]);
    expect(config.log.programName).toBe('firewall-drop.sh');
    expect({ ...config, log: { ...config.log, programName: undefined } }).toStrictEqual(
      DEFAULT_CONFIG,
    );
    expect(example.match(/^#[a-z0-9_]+ = /gm)).toHaveLength(
      Object.values(DEFAULT_CONFIG).flatMap((section) => Object.keys(section)).length,
    );
  });
});
