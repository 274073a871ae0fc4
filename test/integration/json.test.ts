// Checks that every JSON document has exactly the fields in docs/json.md.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { wazuh4Message, wazuh5Message } from '../support/alerts.ts';
import { createVictim, type Victim } from '../support/victim.ts';

const A = '203.0.113.7';
const BLOCK = '203.0.113.0/24';
const TIME = /^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/** The sections of docs/json.md by heading. */
const SECTIONS = new Map(
  readFileSync(join(__dirname, '../../docs/json.md'), 'utf8')
    .split(/^## /m)
    .slice(1)
    .map((text) => {
      const [heading = '', ...body] = text.split('\n');
      return [heading.replaceAll('`', ''), body.join('\n')] as const;
    }),
);

function section(beginning: string): string {
  const found = [...SECTIONS].find(([heading]) => heading.startsWith(beginning));
  if (found === undefined) throw new Error(`docs/json.md says nothing of ${beginning}`);
  return found[1];
}

/** Removes the texts in brackets, which are values and conditions. */
function withoutBrackets(text: string): string {
  return text.replace(/\([^)]*\)/g, '');
}

/** Returns the words that a section formats as code: names of fields, or values. */
function codeIn(text: string): string[] {
  return Array.from(text.matchAll(/`([^`]+)`/g), ([, code = '']) =>
    code.replace(/^\{|\}$/g, '').split(','),
  )
    .flat()
    .map((word) => word.trim());
}

/** Returns the names in the first column of a section's table. */
function fieldsIn(text: string): string[] {
  const rows = text.split('\n').filter((line) => line.startsWith('| `'));
  return rows.flatMap((row) => codeIn(row.split('|')[1] ?? ''));
}

type Json = Readonly<Record<string, unknown>>;

let victim: Victim;
beforeAll(async () => {
  victim = await createVictim();
});
afterEach(() => {
  victim.reset();
});
afterAll(() => victim.dispose());

/** Runs a command with --json. `export` always prints JSON, and has no such option. */
function json(args: readonly string[], input = ''): Json {
  const isAlways = args[0] === 'export';
  const argv = [victim.agent.program(), ...args, ...(isAlways ? [] : ['--json'])];
  const { stdout } = victim.host.run(argv, { input });
  expect(stdout.trimEnd()).not.toContain('\n');
  return JSON.parse(stdout) as Json;
}

function keys(document: unknown): string[] {
  return Object.keys(document as Json);
}

/** Makes everything that documents can show: holds with and without an end, a containing network, a pending change. */
function fill(): void {
  victim.setTimeouts(600);
  victim.add(A);
  victim.person(['add', A, '--reason', 'by hand']);
  victim.person(['add', BLOCK, '--timeout', 'never']);
}

const COMMANDS: readonly (readonly [heading: string, args: readonly string[], input: string])[] = [
  ['list --json', ['list'], ''],
  ['status ADDRESS… --json', ['status', A], ''],
  ['status --json', ['status'], ''],
  ['history --json', ['history', '--limit', '1'], ''],
  ['protect check', ['protect', 'check', '127.0.0.1'], ''],
  ['protect check', ['protect', 'list'], ''],
  ['explain --json', ['explain'], wazuh4Message()],
  ['doctor --json', ['doctor'], ''],
  ['version --json', ['version'], ''],
  ['backend --json', ['backend'], ''],
  ['config check --json', ['config', 'check'], ''],
  ['config show --json', ['config', 'show'], ''],
  ['config show --json', ['config', 'validate'], ''],
  ['export', ['export'], ''],
];

describe('the schema number', () => {
  test('is the first key of every document, and matches its heading', () => {
    victim.add(A);
    victim.setOssecConf('');
    for (const [heading, args, input] of COMMANDS) {
      const title = [...SECTIONS.keys()].find((each) => each.startsWith(heading)) ?? '';
      const documented = Number(/, schema (\d+)$/.exec(title)?.[1]);
      const document = json(args, input);
      expect([args, document['schema']]).toEqual([args, documented]);
      expect(keys(document)[0]).toBe('schema');
    }
  });

  test('is tested for each documented command', () => {
    const tried = COMMANDS.map(([heading]) => heading);
    const others = [...SECTIONS.keys()].filter(
      (title) => !tried.some((heading) => title.startsWith(heading)),
    );
    expect(others).toEqual([]);
  });
});

describe('the document of list', () => {
  interface Example {
    readonly bans: readonly { readonly holds: readonly Json[] }[];
  }
  const example = (): Example => {
    const text = /```json\n([^]*?)```/.exec(section('list'))?.[1] ?? '';
    return JSON.parse(text) as Example;
  };

  test('has the fields of the example in its order and with its types, times in UTC, and null for no end', () => {
    fill();
    const real = json(['list']) as unknown as Example;
    const [sample] = example().bans;
    expect(keys(real)).toEqual(keys(example()));
    for (const ban of real.bans) {
      expect(keys(ban)).toEqual(keys(sample));
      for (const hold of ban.holds) expect(keys(hold)).toEqual(keys(sample?.holds[0]));
    }
    const typesOf = (value: unknown): string[] => {
      return Object.entries(value as Json).map(([name, each]) => `${name}: ${typeof each}`);
    };
    expect(typesOf(real.bans[0])).toEqual(typesOf(sample));
    expect(typesOf(real.bans[0]?.holds[0])).toEqual(typesOf(sample?.holds[0]));
    const holds = real.bans.flatMap((ban) => ban.holds);
    for (const { since } of holds) expect(since).toMatch(TIME);
    const ends = holds.map(({ origin, expires, timeoutSeconds }) => [
      origin,
      expires === null,
      timeoutSeconds,
    ]);
    expect(ends).toEqual([
      ['wazuh', false, 660],
      ['manual', false, 86_400],
      ['manual', true, null],
    ]);
  });

  test('has every documented field', () => {
    const [ban] = example().bans;
    const known = [
      ...keys(ban),
      ...keys(ban?.holds[0]).map((name) => `holds[].${name}`),
      'expires',
    ];
    for (const field of fieldsIn(section('list'))) expect(known).toContain(field);
  });
});

describe('the document of status with an address', () => {
  test('has exactly the fields of the table, with bans as in list, and history as in history', () => {
    fill();
    const status = json(['status', A]);
    expect(keys(status)).toEqual(['schema', ...fieldsIn(section('status ADDRESS'))]);
    expect(keys(status['rule'])).toEqual(ruleFields());
    expect(status['bans']).toEqual(json(['list'])['bans']);
    const lines = victim.person(['history', A, '--json']).stdout.trimEnd().split('\n');
    expect(status['history']).toEqual(lines.map((line) => JSON.parse(line) as Json));
  });

  test('has the same fields for an address without a ban, and with rules for some of its packets', () => {
    const conditional = ['-s', A, '-p', 'tcp', '-j', 'DROP'];
    victim.host.must(['iptables', '-w', '-A', 'INPUT', ...conditional]);
    const status = json(['status', A]);
    expect(keys(status)).toEqual(['schema', ...fieldsIn(section('status ADDRESS'))]);
    const [partly] = status['partly'] as Json[];
    expect(keys(partly)).toEqual(ruleFields());
  });

  const ruleFields = (): string[] => {
    const [row = ''] = /^\| `rule` .*$/m.exec(section('status ADDRESS')) ?? [];
    return codeIn(row.split('|')[2] ?? '');
  };
});

test('the document of status without an address has exactly the fields of its table', () => {
  fill();
  const text = section('status --json');
  const document = json(['status']);
  expect(keys(document)).toEqual(['schema', ...fieldsIn(text)]);
  for (const field of ['store', 'drift']) {
    const [row = ''] = new RegExp(`^\\| \`${field}\` .*$`, 'm').exec(text) ?? [];
    const [group = ''] = /`\{[^}]*\}`/.exec(row) ?? [];
    expect(keys(document[field])).toEqual(codeIn(group));
  }
  for (const field of ['lastRun', 'lastChange', 'nextExpiry'])
    expect(document[field]).toMatch(TIME);
});

test('history prints one document per line, with the documented fields and verbs', () => {
  fill();
  victim.delete(A);
  victim.person(['add', '127.0.0.1']);
  victim.person(['delete', A]);
  const text = section('history');
  const lines = victim.person(['history', '--json']).stdout.trimEnd().split('\n');
  const verbs = codeIn(/`verb` \(([^)]*)\)/.exec(text)?.[1] ?? '');
  const fields = codeIn(withoutBrackets(text));
  expect(lines).toHaveLength(6);
  for (const line of lines) {
    const document = JSON.parse(line) as Json;
    expect(keys(document)).toEqual(['schema', ...fields]);
    expect(verbs).toContain(document['verb']);
    expect(document['time']).toMatch(TIME);
  }
});

test('the documents of protect have the documented fields', () => {
  const groups = Array.from(section('protect').matchAll(/`(\{[^`]*\})`/g), ([, group = '']) =>
    codeIn(`\`${group}\``),
  );
  const [check, list, entry] = groups;
  const protectedOne = json(['protect', 'check', '127.0.0.1']);
  expect(keys(protectedOne)).toEqual(['schema', ...(check ?? [])]);
  expect(keys(protectedOne['entry'])).toEqual(entry);
  expect(json(['protect', 'check', A])['entry']).toBeNull();
  const listed = json(['protect', 'list']);
  expect(keys(listed)).toEqual(['schema', ...(list ?? [])]);
  for (const each of listed['entries'] as Json[]) expect(keys(each)).toEqual(entry);
});

describe('the document of explain', () => {
  test.each([
    ['Wazuh 4', wazuh4Message()],
    ['Wazuh 5', wazuh5Message()],
    ['an alert without an address', '{"data":{}}'],
    ['a delete', wazuh4Message({ command: 'delete' })],
  ])('has the documented fields for %s', (_, input) => {
    const documented = codeIn(withoutBrackets(section('explain')));
    expect(keys(json(['explain'], input)).toSorted()).toEqual(['schema', ...documented].toSorted());
  });
});

test('the document of doctor has the documented fields', () => {
  const { status, stdout } = victim.host.run([victim.agent.program(), 'doctor', '--json', '--fix']);
  const document = JSON.parse(stdout) as Json;
  expect(keys(document)).toEqual(['schema', ...fieldsIn(section('doctor'))]);
  const words = codeIn(section('doctor'));
  const [check] = document['checks'] as Json[];
  const [fixed] = document['fixed'] as Json[];
  expect(words).toEqual(expect.arrayContaining([...keys(check), ...keys(fixed)]));
  expect(document['healthy']).toBe(status === 0);
});

describe('config.toml', () => {
  const [shown = '', validated = ''] = section('config show').split('`validate`:');
  const groupIn = (text: string): string[] => codeIn(/`\{[^}]*\}`/.exec(text)?.[0] ?? '');

  test('is shown with the documented fields, and one entry for each key', () => {
    victim.configure('[firewall]\nbackend = "ipset"\n[[policy]]\nlevel_min = 7\n');
    const document = json(['config', 'show']);
    expect(document['policy']).toEqual([{ level_min: 7 }]);
    expect(keys(document)).toEqual(['schema', 'file', 'settings', 'policy']);
    const settings = document['settings'] as Json[];
    for (const setting of settings)
      expect(groupIn(shown)).toEqual(expect.arrayContaining(keys(setting)));
    expect(settings).toContainEqual({
      key: 'firewall.backend',
      value: 'ipset',
      from: 'file',
      line: 2,
    });
  });

  test('is validated with the documented fields', () => {
    victim.configure('[firewall]\nbackend = "ipsets"\n');
    const document = json(['config', 'validate']);
    expect(keys(document)).toEqual(['schema', 'file', 'problems']);
    const problems = document['problems'] as Json[];
    expect(problems).toHaveLength(1);
    for (const problem of problems)
      expect(keys(problem).toSorted()).toEqual(groupIn(validated).toSorted());
  });
});

test('export prints one ban per line, as in list, with the bans that escalation counts', () => {
  fill();
  const lines = victim.person(['export']).stdout.trimEnd().split('\n');
  const exported = lines.map((line) => JSON.parse(line) as Json);
  const listed = json(['list'])['bans'] as Json[];
  expect(exported).toEqual(listed.map((ban) => ({ schema: 1, ...ban, countedBans: [] })));
});

test('the document of version has the documented fields', () => {
  expect(keys(json(['version']))).toEqual(['schema', ...codeIn(section('version'))]);
});

test('exactly one document is printed if there is nothing to list', () => {
  expect(json(['list'])).toEqual({ schema: 1, bans: [] });
  expect(victim.person(['history', '--json'])).toMatchObject({ status: 0, stdout: '' });
});
