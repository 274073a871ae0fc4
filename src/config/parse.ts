// Parses config.toml. A mistake is reported with its line, affects only its own key, and never prevents a block.
import { readPolicy } from './policy.ts';
import { buildConfig, DEFAULT_CONFIG, SCHEMA, type Config } from './schema.ts';
import { camelCase, type Setting, type Value } from './setting.ts';
import {
  isTable,
  lineOfError,
  locate,
  ownProperty,
  parseToml,
  shorten,
  show,
  type ConfigProblem,
  type Mistake,
} from './toml.ts';

type Protect = Config['protect'];

export interface ParsedConfig {
  readonly config: Config;
  /** The problems, ordered by line. */
  readonly problems: readonly ConfigProblem[];
  /** The keys of [protect] whose values are possibly not what the administrator meant. */
  readonly doubtful: readonly (keyof Protect)[];
  /** The line of each key that gets its value from the file, by names such as `limits.total_seconds`. */
  readonly lines: ReadonlyMap<string, number>;
}

/**
 * Parses the text of config.toml and never throws: an invalid key gets its default, a list keeps its valid entries, and
 * invalid TOML gives DEFAULT_CONFIG. `file` is the name in problems.
 */
export function parseConfig(text: string, file: string): ParsedConfig {
  let root: object;
  try {
    root = parseToml(text);
  } catch (error) {
    return unreadable(text, file, lineOfError(error));
  }
  const mistakes = unknownNames(root);
  const policy = readPolicy(ownProperty(root, 'policy'));
  mistakes.push(...policy.mistakes);
  const used: Mistake[] = [];
  const config = buildConfig((section, key, setting) => {
    const { value, problems } = readKey(root, section, key, setting);
    mistakes.push(...problems);
    if (value !== undefined) used.push({ path: [section, key], message: `${section}.${key}` });
    return value;
  }, policy.entries);
  const lines = new Map(locate(used, text, file).map(({ message, line }) => [message, line]));
  const doubtful = doubtfulKeys(mistakes, root);
  const problems = locate(mistakes, text, file);
  return { config, problems, doubtful, lines };
}

function unreadable(text: string, file: string, line: number): ParsedConfig {
  const found = shorten((text.split('\n')[line - 1] ?? '').trim());
  const message = `invalid TOML: \`${found}\` (strings need quotes, and a key must not be repeated); the whole file is ignored and the defaults are used; addresses that it protected before stay protected`;
  const doubtful = Object.keys(DEFAULT_CONFIG.protect) as (keyof Protect)[];
  const problems = [{ file, line, message }];
  return { config: DEFAULT_CONFIG, problems, doubtful, lines: new Map() };
}

function readKey(
  root: object,
  section: string,
  key: string,
  setting: Setting,
): { readonly value: Value; readonly problems: readonly Mistake[] } {
  const written = ownProperty(ownProperty(root, section), key);
  if (written === undefined) return { value: undefined, problems: [] };
  const { value, problems } = setting.check(written);
  const mistakes = problems.map(({ message, entry, reading }, index) => {
    const isLast = index === problems.length - 1;
    const used = value === undefined && isLast ? replacement(section, setting) : reading;
    const end = used === undefined ? '' : `; ${used}`;
    return { path: [section, key], message: `\`${section}.${key}\` ${message}${end}`, entry };
  });
  return { value, problems: mistakes };
}

function replacement(section: string, setting: Setting): string {
  if (section === 'protect') return 'addresses that it protected before stay protected';
  if (setting.default === undefined) return 'ignored';
  return `the default is used: ${show(setting.default)}`;
}

/** Returns the keys with mistakes, and missing keys too if a name is unknown, which can be a misspelling of one. */
function doubtfulKeys(mistakes: readonly Mistake[], root: object): (keyof Protect)[] {
  const written = ownProperty(root, 'protect');
  const isMisspelt = mistakes.some(({ path: [section = '', key] }) => {
    return key === undefined || (section === 'protect' && !Object.hasOwn(SCHEMA.protect, key));
  });
  const keys = Object.keys(SCHEMA.protect).filter((key) => {
    if (ownProperty(written, key) === undefined) return isMisspelt;
    return mistakes.some(({ path }) => path[0] === 'protect' && path[1] === key);
  });
  return keys.map(camelCase) as (keyof Protect)[];
}

function unknownNames(root: object): Mistake[] {
  return Object.entries(root).flatMap(([section, value]: [string, unknown]): Mistake[] => {
    if (section === 'policy') return [];
    const settings = ownProperty(SCHEMA, section);
    if (!isTable(settings)) return [unknownName([section], isTable(value), TABLES)];
    if (!isTable(value))
      return [{ path: [section], message: `\`${section}\` must be a table: write [${section}]` }];
    return Object.keys(value)
      .filter((key) => !Object.hasOwn(settings, key))
      .map((key) => unknownName([section, key], false, settings));
  });
}

const TABLES = { ...SCHEMA, policy: {} };

/** `known` is the table of the valid names. */
function unknownName(path: readonly string[], isSection: boolean, known: object): Mistake {
  const where = path.length === 1 ? 'the tables' : `the keys of [${path[0] ?? ''}]`;
  const hint = `${where} are ${Object.keys(known).join(', ')}`;
  return { path, message: `unknown ${isSection ? 'table' : 'key'} \`${dotted(path)}\`: ${hint}` };
}

/** Writes a path as TOML does, shortened. */
function dotted(path: readonly string[]): string {
  const parts = path.map((part) => (/^[A-Za-z0-9_-]+$/.test(part) ? part : JSON.stringify(part)));
  return shorten(parts.join('.'));
}
