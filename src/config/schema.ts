// The one table of all keys of config.toml: what each may hold, what holds without it, and its documentation.
import { DEFAULT_ADDRESS_FIELDS, WAZUH5_ADDRESS_FIELDS } from './address-fields.ts';

export type Value = string | number | boolean | readonly string[] | undefined;

/** One key: what it may hold, what holds without it, and its documentation. */
export type Setting = { readonly doc: string } & (
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

export interface ListSetting {
  readonly doc: string;
  readonly kind: 'list';
  readonly of: keyof typeof ENTRIES;
  readonly minEntries: 0 | 1;
  readonly default: readonly string[];
}

/** What a list may hold: an address is parsed as well. */
export const ENTRIES = {
  chain: { pattern: /^[A-Za-z0-9_][A-Za-z0-9_-]{0,27}$/, expected: 'the name of a chain' },
  address: { pattern: /^[0-9A-Fa-f:./]{2,49}$/, expected: 'an address or a network' },
  file: { pattern: /^\/\P{Cc}{1,4094}$/u, expected: 'the absolute path of a file' },
  field: {
    pattern: /^[A-Za-z0-9_@-]{1,64}(?:\.[A-Za-z0-9_@-]{1,64}){0,15}$/,
    expected: 'a dotted path in an alert',
  },
} as const;

export const NAME_PATTERN = /^[A-Za-z0-9._-]{1,64}$/;

export const SCHEMA = {
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
      doc: 'Which backend blocks. "iptables": one DROP rule per address and chain. "ipset": one set and\none rule for all of it, and the kernel ends blocks by itself. "nftables": the same in a table of\nour own, without iptables. "auto": iptables (nftables on a host without them or with firewalld),\nand sets beyond promote_at. After a change the next firewall-drop expire or restore\nmoves what is blocked; alerts go on with the old one until then.',
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
      doc: 'Addresses and networks that are never blocked, such as ["192.0.2.10", "2001:db8::/32"].',
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
    wazuh5_fields: {
      kind: 'list',
      of: 'field',
      minEntries: 1,
      default: WAZUH5_ADDRESS_FIELDS,
      doc: 'The same for Wazuh 5, from the root of the document that its message holds.',
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

type Schema = typeof SCHEMA;

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
  readonly [Section in keyof Schema]: {
    readonly [Key in keyof Schema[Section] as CamelCase<Key>]: ValueOf<Schema[Section][Key]>;
  };
};
