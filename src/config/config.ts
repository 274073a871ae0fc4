// config.toml → one frozen Config: a wrong key is said with its line and never stops a block.

import type * as SmolToml from 'smol-toml';

type Value = string | number | boolean | readonly string[] | undefined;

/** One key: what it may hold, what holds without it, and what people are told about it. */
type Setting = { readonly doc: string } & (
  | { readonly kind: 'choice'; readonly choices: readonly string[]; readonly default: string }
  | {
      readonly kind: 'word';
      readonly default: string;
      readonly pattern: RegExp;
      readonly expected: string;
    }
  | { readonly kind: 'name'; readonly default: undefined; readonly example: string }
  | { readonly kind: 'flag'; readonly default: boolean }
  | { readonly kind: 'whole'; readonly default: number; readonly min: number; readonly max: number }
  | ListSetting
);

interface ListSetting {
  readonly doc: string;
  readonly kind: 'list';
  readonly of: keyof typeof ENTRIES;
  readonly minEntries: 0 | 1;
  readonly default: readonly string[];
}

/** What a list may hold: the pattern is checked here, addresses by the caller's validator as well. */
const ENTRIES = {
  chain: { pattern: /^[A-Za-z0-9_][A-Za-z0-9_-]{0,27}$/, expected: 'the name of a chain' },
  address: { pattern: /^[0-9A-Fa-f:./]{2,49}$/, expected: 'an address or a block of addresses' },
  file: { pattern: /^\/\P{Cc}{1,4094}$/u, expected: 'the absolute path of a file' },
  field: {
    pattern: /^[A-Za-z0-9_@-]{1,64}(?:\.[A-Za-z0-9_@-]{1,64}){0,15}$/,
    expected: 'a dotted path in an alert',
  },
} as const;

const NAME_PATTERN = /^[A-Za-z0-9._-]{1,64}$/;

/** Where alerts keep the offender's address, under `parameters.alert`; the first that holds one wins. */
export const DEFAULT_ADDRESS_FIELDS: readonly string[] = Object.freeze([
  'data.srcip',
  'data.srcip2',
  'data.win.eventdata.ipAddress',
  'data.src_ip',
  'data.source_address',
  'data.remip',
  'data.mariadb.ip',
  'data.ip_address',
  'data.audit.srcip',
  'data.ClientIP',
]);

/** The same for cloud services, whose offenders seldom touch this host. */
export const CLOUD_ADDRESS_FIELDS: readonly string[] = Object.freeze([
  'data.office365.ClientIP',
  'data.aws.sourceIPAddress',
  'data.aws.source_ip_address',
  'data.aws.client_ip',
  'data.aws.httpRequest.clientIp',
  'data.gcp.jsonPayload.sourceIP',
  'data.gcp.protoPayload.requestMetadata.callerIp',
  'data.ms-graph.ipAddress',
]);

const TABLE = {
  log: {
    format: {
      kind: 'choice',
      choices: ['ossec', 'wazuh', 'both'],
      default: 'ossec',
      doc: 'Lines in active-responses.log: "ossec" raises rules 601 and 602, "wazuh" rules 651 and\n652, "both" writes both.',
    },
    program_name: {
      kind: 'name',
      default: undefined,
      example: 'firewall-drop.sh',
      doc: 'The program named in lines of the format "ossec". OSSEC decodes names ending in .sh only.\nWithout this key: the name of the executable with .sh behind it.',
    },
    level: {
      kind: 'choice',
      choices: ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'],
      default: 'warn',
      doc: 'The least serious diagnostics that are kept: "trace", "debug", "info", "warn", "error",\n"fatal" or "silent".',
    },
  },
  firewall: {
    backend: {
      kind: 'choice',
      choices: ['auto', 'iptables', 'ipset', 'nftables'],
      default: 'auto',
      doc: 'How the kernel is told. "iptables": one DROP rule per address and chain. "ipset": one set and\none rule for all of it, and the kernel ends blocks by itself. "nftables": the same in a table of\nour own, without iptables. "auto": iptables (nftables on a host without them or with firewalld),\nand sets beyond promote_at. After a change the next firewall-drop expire or restore\nmoves what is blocked; alerts go on with the old one until then.',
    },
    promote_at: {
      kind: 'whole',
      default: 100,
      min: 1,
      max: 100_000,
      doc: 'With backend = "auto": more bans than this move into sets, all in one go, of ipset or else\nnftables: 1 to 100000. They stay there until everything is released (firewall-drop flush).',
    },
    set_name: {
      kind: 'word',
      default: 'firewall-drop',
      pattern: /^[A-Za-z0-9_][A-Za-z0-9_-]{0,23}$/,
      expected: '1 to 24 letters, digits, dashes or underscores in quotes',
      doc: 'What the sets are called, with -4 and -6 behind it.',
    },
    max_entries: {
      kind: 'whole',
      default: 131_072,
      min: 1024,
      max: 16_777_216,
      doc: 'How many addresses a set may hold: 1024 to 16777216.',
    },
    variant: {
      kind: 'choice',
      choices: ['auto', 'nft', 'legacy'],
      default: 'auto',
      doc: 'Which iptables where a host has several: "nft", "legacy", or "auto" for the one in use.',
    },
    chains: {
      kind: 'list',
      of: 'chain',
      minEntries: 1,
      default: ['INPUT', 'FORWARD'],
      doc: 'The chains of the filter table that get a rule.',
    },
    docker: {
      kind: 'flag',
      default: true,
      doc: 'DOCKER-USER too, where that chain exists: what is sent to a container never meets INPUT.',
    },
    kill_connections: {
      kind: 'flag',
      default: false,
      doc: 'Also have the kernel forget the connections that a blocked address has open, to this host and\nthrough it (conntrack -D). Their packets are dropped in any case. Takes the program conntrack.',
    },
    lock_wait_seconds: {
      kind: 'whole',
      default: 10,
      min: 1,
      max: 60,
      doc: "How long iptables may wait for the kernel's own lock (xtables), in seconds: 1 to 60.",
    },
    program_timeout_seconds: {
      kind: 'whole',
      default: 15,
      min: 1,
      max: 120,
      doc: 'How long one run of a firewall program may take, in seconds: 1 to 120.',
    },
  },
  protect: {
    allow: {
      kind: 'list',
      of: 'address',
      minEntries: 0,
      default: [],
      doc: 'Addresses and blocks that are never blocked, such as ["192.0.2.10", "2001:db8::/32"].',
    },
    allow_files: {
      kind: 'list',
      of: 'file',
      minEntries: 0,
      default: [],
      doc: 'Files with more of them, one a line, by absolute path.',
    },
    resolvers: {
      kind: 'flag',
      default: true,
      doc: 'Never block the resolvers of this host.',
    },
    gateways: {
      kind: 'flag',
      default: true,
      doc: 'Never block the default gateways of this host.',
    },
    manager: {
      kind: 'flag',
      default: true,
      doc: 'Never block the Wazuh or OSSEC manager that this agent reports to.',
    },
    white_list: {
      kind: 'flag',
      default: true,
      doc: 'Never block what a white_list in an ossec.conf on this host names.',
    },
  },
  alert: {
    address_fields: {
      kind: 'list',
      of: 'field',
      minEntries: 1,
      default: DEFAULT_ADDRESS_FIELDS,
      doc: 'Where an alert keeps the address to block, below parameters.alert; the first of these\nthat holds an address wins.',
    },
    cloud_fields: {
      kind: 'flag',
      default: false,
      doc: 'Look into the fields of cloud services too (Office 365, AWS, Google Cloud, MS Graph), last.',
    },
  },
  limits: {
    total_seconds: {
      kind: 'whole',
      default: 20,
      min: 2,
      max: 120,
      doc: 'How long one run may take, in seconds: 2 to 120. execd handles nothing else meanwhile.',
    },
    lock_wait_seconds: {
      kind: 'whole',
      default: 10,
      min: 0,
      max: 60,
      doc: 'How long a run may wait for another one to finish, in seconds: 0 to 60.',
    },
    grace_seconds: {
      kind: 'whole',
      default: 60,
      min: 0,
      max: 86_400,
      doc: "How long after execd's own timeout a block ends by itself if execd never releases it, in\nseconds: 0 to 86400.",
    },
  },
  history: {
    keep_days: {
      kind: 'whole',
      default: 90,
      min: 0,
      max: 3650,
      doc: 'How long ended blocks are remembered, in days: 0 to 3650.',
    },
  },
} as const satisfies Readonly<Record<string, Readonly<Record<string, Setting>>>>;

type Table = typeof TABLE;

type CamelCase<S> = S extends `${infer Head}_${infer Tail}`
  ? `${Head}${Capitalize<CamelCase<Tail>>}`
  : S extends string
    ? S
    : never;

type ValueOf<S> = S extends { kind: 'choice'; choices: readonly (infer Choice)[] }
  ? Choice
  : S extends { kind: 'word' }
    ? string
    : S extends { kind: 'name' }
      ? string | undefined
      : S extends { kind: 'flag' }
        ? boolean
        : S extends { kind: 'whole' }
          ? number
          : readonly string[];

/**
 * The whole configuration, frozen to its leaves: each key of config.toml in camel case under its table
 * (`limits.total_seconds` is `limits.totalSeconds`). `alert.addressFields` already ends with the cloud fields if they are on.
 */
export type Config = {
  readonly [Section in keyof Table]: {
    readonly [Key in keyof Table[Section] as CamelCase<Key>]: ValueOf<Table[Section][Key]>;
  };
};

/** Something in the file that was not taken as written; `line` counts from 1. */
export interface ConfigProblem {
  readonly file: string;
  readonly line: number;
  readonly message: string;
}

/** `/etc/firewall-drop/config.toml:3: unknown key …` */
export function formatProblem(problem: ConfigProblem): string {
  return `${problem.file}:${problem.line}: ${problem.message}`;
}

/** What holds without a config file. */
export const DEFAULT_CONFIG: Config = buildConfig(() => undefined);

/**
 * Reads the text of config.toml. Never throws: a key that can't be used keeps its default, a list keeps its good entries,
 * a text that is no TOML gives DEFAULT_CONFIG; each is a problem, in the order of lines. `file` is only named in problems.
 */
export function parseConfig(
  text: string,
  file: string,
  isAddressOrBlock: (text: string) => boolean,
): { readonly config: Config; readonly problems: readonly ConfigProblem[] } {
  const parsed = parseToml(text);
  if (!parsed.ok) {
    const message = `${parsed.message}: the whole file is passed over, defaults are used`;
    return { config: DEFAULT_CONFIG, problems: [{ file, line: parsed.line, message }] };
  }
  const complaints = unknownNames(parsed.root);
  const config = buildConfig((section, key, setting) => {
    const written = ownProperty(ownProperty(parsed.root, section), key);
    if (written === undefined) return undefined;
    const checked = checkValue(setting, written, isAddressOrBlock);
    for (const { message, entry } of checked.complaints)
      complaints.push({ path: [section, key], message: `\`${section}.${key}\` ${message}`, entry });
    return checked.value;
  });
  return { config: withCloudFields(config), problems: locate(complaints, text, file) };
}

/** What is wrong under which name; `entry` is the entry of a list that is meant. */
interface Complaint {
  readonly path: readonly string[];
  readonly message: string;
  readonly entry?: unknown;
}

/** The file's root table, or where and why it is no TOML. */
function parseToml(
  text: string,
):
  | { readonly ok: true; readonly root: object }
  | { readonly ok: false; readonly line: number; readonly message: string } {
  const toml = require('smol-toml') as typeof SmolToml;
  try {
    // A number too big for us is wrong in its own key only.
    return { ok: true, root: toml.parse(text, { integersAsBigInt: 'asNeeded', maxDepth: 16 }) };
  } catch (error) {
    const line = error instanceof toml.TomlError ? error.line : 1;
    // Only the first line: the library draws the place below it.
    const message = error instanceof Error ? (error.message.split('\n', 1)[0] ?? '') : 'not TOML';
    return { ok: false, line, message };
  }
}

function ownProperty(value: unknown, key: string): unknown {
  if (!isTable(value) || !Object.hasOwn(value, key)) return undefined;
  return value[key];
}

function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  return (
    typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date)
  );
}

/** Walks the table of settings once; `read` gives a key's value, or undefined for its default. */
function buildConfig(read: (section: string, key: string, setting: Setting) => Value): Config {
  const sections = Object.entries(TABLE).map(([section, settings]) => {
    const values = Object.entries<Setting>(settings).map(([key, setting]): [string, Value] => {
      const value = read(section, key, setting) ?? setting.default;
      return [camelCase(key), typeof value === 'object' ? Object.freeze([...value]) : value];
    });
    return [section, Object.freeze(Object.fromEntries(values))];
  });
  return Object.freeze(Object.fromEntries(sections)) as Config;
}

function camelCase(key: string): string {
  return key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function withCloudFields(config: Config): Config {
  if (!config.alert.cloudFields) return config;
  const fields = new Set([...config.alert.addressFields, ...CLOUD_ADDRESS_FIELDS]);
  const alert = { ...config.alert, addressFields: Object.freeze([...fields]) };
  return Object.freeze({ ...config, alert: Object.freeze(alert) });
}

/** A value as far as it can be used (undefined: use the default), and what is wrong with it. */
interface Checked {
  readonly value: Value;
  readonly complaints: readonly Omit<Complaint, 'path'>[];
}

function checkValue(
  setting: Setting,
  written: unknown,
  isAddressOrBlock: (text: string) => boolean,
): Checked {
  if (setting.kind === 'list') return checkList(setting, written, isAddressOrBlock);
  const value = scalar(setting, written);
  if (value !== undefined) return { value, complaints: [] };
  const message = `must be ${expectation(setting)}, not ${show(written)}; ${instead(setting)}`;
  return { value, complaints: [{ message }] };
}

function scalar(setting: Exclude<Setting, ListSetting>, written: unknown): Value {
  switch (setting.kind) {
    case 'flag':
      return typeof written === 'boolean' ? written : undefined;
    case 'choice':
      return setting.choices.find((choice) => choice === written);
    case 'word':
      return typeof written === 'string' && setting.pattern.test(written) ? written : undefined;
    case 'name':
      return typeof written === 'string' && NAME_PATTERN.test(written) ? written : undefined;
    case 'whole':
      if (typeof written !== 'number' || !Number.isInteger(written)) return undefined;
      // Plus 0, since JSON can't keep the -0 that TOML has.
      return written >= setting.min && written <= setting.max ? written + 0 : undefined;
  }
}

function expectation(setting: Exclude<Setting, ListSetting>): string {
  switch (setting.kind) {
    case 'flag':
      return 'true or false';
    case 'choice':
      return setting.choices.map(show).join(' or ');
    case 'word':
      return setting.expected;
    case 'name':
      return '1 to 64 letters, digits, dots, dashes or underscores in quotes';
    case 'whole':
      return `a whole number from ${setting.min} to ${setting.max}`;
  }
}

function instead(setting: Setting): string {
  return setting.default === undefined
    ? 'passed over'
    : `the default is used, ${show(setting.default)}`;
}

/** Good entries stay when others are bad: one slip among the allowed addresses must not lock out the rest. */
function checkList(
  setting: ListSetting,
  written: unknown,
  isAddressOrBlock: (text: string) => boolean,
): Checked {
  const { pattern, expected } = ENTRIES[setting.of];
  const isGood = (entry: unknown): entry is string =>
    typeof entry === 'string' &&
    pattern.test(entry) &&
    (setting.of !== 'address' || isAddressOrBlock(entry));
  if (!Array.isArray(written)) return checkBareEntry(setting, written, isGood);
  const entries: readonly unknown[] = written;
  const good = [...new Set(entries.filter(isGood))];
  const complaints: Omit<Complaint, 'path'>[] = entries
    .filter((entry) => !isGood(entry))
    .map((entry) => ({ entry, message: `${show(entry)} is not ${expected}: left out` }));
  if (good.length >= setting.minEntries) return { value: good, complaints };
  complaints.push({ message: `must name at least one; ${instead(setting)}` });
  return { value: undefined, complaints };
}

/** A single entry without its brackets is plainly meant, and passing over an allowed address would lock someone out. */
function checkBareEntry(
  setting: ListSetting,
  written: unknown,
  isGood: (entry: unknown) => entry is string,
): Checked {
  const message = `must be a list in brackets, not ${show(written)}`;
  if (isGood(written))
    return {
      value: [written],
      complaints: [{ message: `${message}; read as ${show([written])}` }],
    };
  return { value: undefined, complaints: [{ message: `${message}; ${instead(setting)}` }] };
}

/** A value for a message: bounded, on one line. */
function show(value: unknown): string {
  return shorten(tomlText(value));
}

function tomlText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(tomlText).join(', ')}]`;
  if (value instanceof Date) return 'a date';
  return isTable(value) ? 'a table' : scalarText(value);
}

function scalarText(value: unknown): string {
  // JSON has no bigint, NaN or infinity; strings it writes as TOML does.
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  return value === undefined ? 'nothing' : JSON.stringify(value);
}

function shorten(text: string): string {
  return text.length <= 200 ? text : `${text.slice(0, 200)}…`;
}

function unknownNames(root: object): Complaint[] {
  return Object.entries(root).flatMap(([section, value]: [string, unknown]): Complaint[] => {
    const settings = ownProperty(TABLE, section);
    if (!isTable(settings)) return [unknownName([section], isTable(value))];
    if (!isTable(value))
      return [{ path: [section], message: `\`${section}\` must be a table: write [${section}]` }];
    return Object.keys(value)
      .filter((key) => !Object.hasOwn(settings, key))
      .map((key) => unknownName([section, key], false));
  });
}

function unknownName(path: readonly string[], isSection: boolean): Complaint {
  const known = isSection ? Object.keys(TABLE).map((section) => [section]) : knownKeys();
  const near = nearest(path, known).map((name) => `\`${dotted(name)}\``);
  const hint = near.length === 0 ? 'passed over' : `did you mean ${near.join(' or ')}?`;
  const message = `unknown ${isSection ? 'table' : 'key'} \`${dotted(path)}\`: ${hint}`;
  return { path, message };
}

function knownKeys(): readonly (readonly string[])[] {
  return Object.entries(TABLE).flatMap(([section, settings]) =>
    Object.keys(settings).map((key) => [section, key]),
  );
}

/** As TOML writes a name, bounded. */
function dotted(path: readonly string[]): string {
  const parts = path.map((part) => (/^[A-Za-z0-9_-]+$/.test(part) ? part : JSON.stringify(part)));
  return shorten(parts.join('.'));
}

/** The names spelt most like the last part of `path`, those of the same table before others; none if all are far off. */
function nearest(
  path: readonly string[],
  known: readonly (readonly string[])[],
): readonly (readonly string[])[] {
  const last = path.at(-1)?.toLowerCase() ?? '';
  if (last.length > 64) return [];
  const scored = known.map((name) => {
    const elsewhere = path.length === name.length && path[0] === name[0] ? 0 : 0.5;
    return { name, score: editDistance(last, name.at(-1) ?? '') + elsewhere };
  });
  const best = Math.min(...scored.map(({ score }) => score));
  if (best > Math.max(1, Math.floor(last.length / 3)) + 0.5) return [];
  return scored.filter(({ score }) => score === best).map(({ name }) => name);
}

/** Letters put in, left out, exchanged or swapped with their neighbour. */
function editDistance(from: string, to: string): number {
  let [beforeLast, last]: [number[], number[]] = [
    [],
    Array.from({ length: to.length + 1 }, (_, i) => i),
  ];
  for (let row = 1; row <= from.length; row++) {
    const current = [row];
    for (let column = 1; column <= to.length; column++) {
      const isSame = from[row - 1] === to[column - 1];
      const isSwap = from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1];
      current.push(
        Math.min(
          (last[column] ?? Infinity) + 1,
          (current[column - 1] ?? Infinity) + 1,
          (last[column - 1] ?? Infinity) + (isSame ? 0 : 1),
          isSwap ? (beforeLast[column - 2] ?? Infinity) + 1 : Infinity,
        ),
      );
    }
    [beforeLast, last] = [last, current];
  }
  return last[to.length] ?? Infinity;
}

/** Complaints with their lines, from top to bottom: the TOML parser tells no lines, so names are looked for in the text. */
function locate(complaints: readonly Complaint[], text: string, file: string): ConfigProblem[] {
  if (complaints.length === 0) return [];
  const lines = text.split('\n');
  const lineOfName = linesOfNames(lines);
  return complaints
    .map((complaint) => {
      const keyLine = nearestLine(complaint.path, lineOfName);
      return {
        file,
        line: lineOfEntry(complaint.entry, keyLine, lines),
        message: complaint.message,
      };
    })
    .sort((a, b) => a.line - b.line);
}

/** The line of the longest part of the path that has one: a key in an inline table is on its table's line. */
function nearestLine(path: readonly string[], lineOfName: ReadonlyMap<string, number>): number {
  for (let length = path.length; length > 0; length--) {
    const line = lineOfName.get(JSON.stringify(path.slice(0, length)));
    if (line !== undefined) return line;
  }
  return 1;
}

function lineOfEntry(entry: unknown, keyLine: number, lines: readonly string[]): number {
  if (typeof entry !== 'string') return keyLine;
  const isHere = (line: string): boolean =>
    line.includes(JSON.stringify(entry)) || line.includes(`'${entry}'`);
  const found = lines.findIndex((line, index) => index >= keyLine - 1 && isHere(line));
  return found < 0 ? keyLine : found + 1;
}

/** The first line (from 1) of each table and key, by its path as JSON. */
function linesOfNames(lines: readonly string[]): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  let table: readonly string[] = [];
  lines.forEach((line, index) => {
    const header = /^\uFEFF?\s*\[{1,2}([^[\]]+)\]{1,2}\s*(?:#.*)?$/.exec(line)?.[1];
    const key =
      /^\uFEFF?\s*((?:"[^"]*"|'[^']*'|[\w-]+)(?:\s*\.\s*(?:"[^"]*"|'[^']*'|[\w-]+))*)\s*=/.exec(
        line,
      )?.[1];
    if (header !== undefined) table = nameParts(header);
    if (header === undefined && key === undefined) return;
    const path = JSON.stringify(key === undefined ? table : [...table, ...nameParts(key)]);
    if (!found.has(path)) found.set(path, index + 1);
  });
  return found;
}

function nameParts(name: string): readonly string[] {
  return Array.from(
    name.matchAll(/"([^"]*)"|'([^']*)'|([\w-]+)/g),
    ([, basic, literal, bare]) => basic ?? literal ?? bare ?? '',
  );
}

/** A parsed config as text for the store, so that an alert need not load the TOML parser. */
export function configToJson(config: Config): string {
  return JSON.stringify({ schema: schemaHash(), config });
}

/** What {@link configToJson} of this very shape and these defaults wrote; null for any other text. */
export function configFromJson(text: string): Config | null {
  const written = ownProperty(parseJson(text), 'config');
  const config = buildConfig((section, key, setting) => {
    const value = ownProperty(ownProperty(written, section), camelCase(key));
    return checkValue(setting, value, () => true).value;
  });
  // Whatever was missing, wrong or unknown makes the text differ.
  return configToJson(config) === text ? config : null;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** FNV-1a over all that decides what a config can hold: another program version's cache is not read as ours. */
function schemaHash(): number {
  const shape = JSON.stringify(
    [TABLE, ENTRIES, NAME_PATTERN, CLOUD_ADDRESS_FIELDS],
    (key, value: unknown) => {
      if (key === 'doc') return undefined;
      return value instanceof RegExp ? String(value) : value;
    },
  );
  let hash = 0x811c9dc5;
  for (let index = 0; index < shape.length; index++)
    hash = Math.imul(hash ^ shape.charCodeAt(index), 0x01000193);
  return hash >>> 0;
}

/** The documented example, `packaging/config.toml`: every key, commented out, with its default. */
export function exampleConfig(): string {
  const sections = Object.entries(TABLE).map(([section, settings]) => {
    const keys = Object.entries<Setting>(settings).map(([key, setting]) => {
      const value = tomlText(setting.kind === 'name' ? setting.example : setting.default);
      return `# ${setting.doc.replaceAll('\n', '\n# ')}\n#${key} = ${value}\n`;
    });
    return `[${section}]\n\n${keys.join('\n')}`;
  });
  return `${EXAMPLE_HEAD}\n${sections.join('\n')}`;
}

const EXAMPLE_HEAD = `# firewall-drop reads this file as /etc/firewall-drop/config.toml at every run. Without it, and for
# each key that stays commented out, the default holds, which is the value shown. A key that is wrong
# is reported and its default used: a mistake here never stops a block.
`;
