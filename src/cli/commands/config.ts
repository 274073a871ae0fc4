// `config show` and `config validate`: print our own configuration with the origin of each value, and its mistakes.
import { CONFIG_FILE, LARGEST_FILE } from '../../config/read.ts';
import { parseConfig, type ParsedConfig } from '../../config/parse.ts';
import { POLICY_KEYS, type PolicyEntry } from '../../config/policy.ts';
import { SCHEMA } from '../../config/schema.ts';
import { camelCase } from '../../config/setting.ts';
import { formatProblem, ownProperty, tomlText } from '../../config/toml.ts';
import { AppError } from '../../model/errors.ts';
import { isErrno, readRegularFile } from '../../system/files.ts';
import { ANSWER_NO, defineCommand, outputAs } from '../command.ts';
import { count } from '../output/count.ts';
import { printAnswer } from '../output/json.ts';

export const configShow = defineCommand({
  name: 'config show',
  summary: 'Show the configuration in effect, and where each value comes from',
  details:
    'The output is TOML, with the line of each value in the file, or "default". An invalid key of [protect] keeps its previous value. config validate lists the mistakes.',
  options: { output: outputAs('text', 'json') },
  examples: [
    ['config show', 'show the settings in effect'],
    ['config show > config.toml', 'create a file with every key'],
  ],
  exits: { 0: 'the configuration is printed', 78: "the file can't be read" },
  isLong: () => true,
  run(_words, { output }, person) {
    const { config } = person.createContext({ readOnly: true });
    const settings = settingsOf(config, parseFile());
    const policy = config.policy.map(policyKeys);
    const lines = [...formatSettings(settings), ...policy.flatMap(formatPolicy)];
    printAnswer(output, { file: CONFIG_FILE, settings, policy }, lines, person);
    return 0;
  },
});

/** Parses the named file, or our own configuration file. Returns null if the latter does not exist. */
function parseFile(named?: string): ParsedConfig | null {
  const path = named ?? CONFIG_FILE;
  try {
    return parseConfig(readRegularFile(path, LARGEST_FILE).toString('utf8'), path);
  } catch (error) {
    if (named === undefined && isErrno(error, 'ENOENT')) return null;
    const code = named === undefined ? 'CONFIG' : 'BAD_DATA';
    throw new AppError(code, `${path} can't be read`, error);
  }
}

type Setting = ReturnType<typeof settingsOf>[number];

function settingsOf(config: object, parsed: ParsedConfig | null) {
  const valueIn = (whole: object | undefined, section: string, key: string): unknown => {
    return ownProperty(ownProperty(whole, section), camelCase(key));
  };
  return Object.entries(SCHEMA).flatMap(([section, keys]) => {
    return Object.keys(keys).map((name) => {
      const key = `${section}.${name}`;
      const value = valueIn(config, section, name);
      const line = parsed?.lines.get(key) ?? null;
      const now = tomlText(valueIn(parsed?.config, section, name));
      const isKept = parsed !== null && now !== tomlText(value);
      const from = isKept ? 'earlier file' : line === null ? 'default' : 'file';
      return { key, value, from, line } as const;
    });
  });
}

const VALUE_WIDTH = 40;

function formatSettings(settings: readonly Setting[]): string[] {
  const sections = Map.groupBy(settings, ({ key }) => key.split('.', 1)[0] ?? '');
  return Array.from(sections, ([section, own], index) => [
    ...(index === 0 ? [] : ['']),
    `[${section}]`,
    ...own.map(formatSetting),
  ]).flat();
}

function formatSetting({ key, value, from, line }: Setting): string {
  const name = key.slice(key.indexOf('.') + 1);
  const text = value === undefined ? `#${name} =` : `${name} = ${tomlText(value)}`;
  const where = {
    default: 'default',
    file: `${CONFIG_FILE}:${line ?? ''}`,
    'earlier file': `from an earlier version of ${CONFIG_FILE}`,
  };
  return `${text.padEnd(VALUE_WIDTH)} # ${where[from]}`;
}

/** Returns the keys of an entry that differ from the default, under their names in the file. */
function policyKeys(entry: PolicyEntry): Record<string, unknown> {
  const given = Object.entries(POLICY_KEYS).flatMap(([key, setting]) => {
    const value = ownProperty(entry, camelCase(key));
    return tomlText(value) === tomlText(setting.default) ? [] : [[key, value] as const];
  });
  return Object.fromEntries(given);
}

function formatPolicy(keys: Readonly<Record<string, unknown>>): string[] {
  const lines = Object.entries(keys).map(([key, value]) => `${key} = ${tomlText(value)}`);
  return ['', `${'[[policy]]'.padEnd(VALUE_WIDTH)} # ${CONFIG_FILE}`, ...lines];
}

export const configValidate = defineCommand({
  name: 'config validate',
  summary: "Find mistakes in firewall-drop's own configuration, config.toml",
  details: `Without a file, checks ${CONFIG_FILE}. Each mistake is shown with its line and the value used instead.`,
  positional: {
    name: 'file',
    describe: 'a config.toml that is not installed yet',
    count: 'optional',
    offers: 'files',
  },
  options: { output: outputAs('text', 'json') },
  examples: [
    ['config validate', 'check the installed configuration'],
    ['config validate new.toml', 'check a file before it is installed'],
  ],
  exits: {
    0: 'no mistake was found',
    1: 'a mistake was found',
    65: "the given file can't be read",
    78: `${CONFIG_FILE} can't be read`,
  },
  needsRoot: false,
  run([named], { output }, person) {
    const file = named ?? CONFIG_FILE;
    const parsed = parseFile(named);
    const problems = parsed?.problems ?? [];
    const lines =
      parsed === null
        ? [`${file} does not exist: the defaults are used`]
        : [...problems.map(formatProblem), `${file}: ${count(problems.length, 'mistake')}`];
    printAnswer(output, { file, problems }, lines, person);
    return problems.length === 0 ? 0 : ANSWER_NO;
  },
});
