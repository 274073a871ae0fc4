// The one table of all keys of config.toml: what each may hold, what holds without it, and its documentation; and the Config that follows from it.
import type { PolicyEntry } from './policy.ts';
import {
  buildTable,
  choice,
  duration,
  flag,
  list,
  whole,
  word,
  type CamelCase,
  type Setting,
  type Settings,
  type Value,
  type ValueOf,
} from './setting.ts';

/** Where alerts keep the offender's address, under `parameters.alert`; the first that holds one wins. */
export const DEFAULT_ADDRESS_FIELDS: readonly string[] = [
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
];

/** The same in a document of Wazuh 5. */
export const WAZUH5_ADDRESS_FIELDS: readonly string[] = ['source.ip'];

/** The same for cloud services, whose offenders seldom touch this host. */
export const CLOUD_ADDRESS_FIELDS: readonly string[] = [
  'data.office365.ClientIP',
  'data.aws.sourceIPAddress',
  'data.aws.source_ip_address',
  'data.aws.client_ip',
  'data.aws.httpRequest.clientIp',
  'data.gcp.jsonPayload.sourceIP',
  'data.gcp.protoPayload.requestMetadata.callerIp',
  'data.ms-graph.ipAddress',
];

export const SCHEMA = {
  log: {
    format: choice(
      ['ossec', 'wazuh', 'both'],
      'ossec',
      'Lines in active-responses.log: "ossec" raises rules 601 and 602, "wazuh" rules 651 and\n652, "both" writes both.',
    ),
    program_name: word(
      {
        default: undefined,
        example: 'firewall-drop.sh',
        pattern: /^[A-Za-z0-9._-]{1,64}$/,
        expected: '1 to 64 letters, digits, dots, dashes or underscores in quotes',
      },
      'The program named in lines of the format "ossec". OSSEC decodes names ending in .sh only.\nWithout this key: the name of the executable with .sh behind it.',
    ),
    level: choice(
      ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'],
      'warn',
      'The least serious diagnostics that are kept: "trace", "debug", "info", "warn", "error",\n"fatal" or "silent".',
    ),
  },
  firewall: {
    backend: choice(
      ['auto', 'iptables', 'ipset', 'nftables'],
      'auto',
      'Which backend blocks. "iptables": one DROP rule per address and chain. "ipset": one set and\none rule for all of it, and the kernel ends blocks by itself. "nftables": the same in a table of\nits own, without iptables. "auto": iptables (nftables on a host without them or with firewalld),\nand sets beyond promote_at. After a change the next firewall-drop expire or restore migrates the\nbans; alerts use the old backend until then.',
    ),
    promote_at: whole(
      { default: 100, min: 1, max: 100_000 },
      'With backend = "auto": where there are more bans than this, all of them are migrated into sets,\nof ipset or else nftables: 1 to 100000. They stay there until everything is released\n(firewall-drop flush).',
    ),
    set_name: word(
      {
        default: 'firewall-drop',
        pattern: /^[A-Za-z0-9_][A-Za-z0-9_-]{0,23}$/,
        expected: '1 to 24 letters, digits, dashes or underscores in quotes',
      },
      'What the sets are called, with -4 and -6 behind it. While there are bans, sets of ipset keep their\nname (firewall-drop flush).',
    ),
    max_entries: whole(
      { default: 131_072, min: 1024, max: 16_777_216 },
      'How many addresses a set may hold: 1024 to 16777216.',
    ),
    variant: choice(
      ['auto', 'nft', 'legacy'],
      'auto',
      'Which iptables where a host has several: "nft", "legacy", or "auto" for the one in use.\nWhile there are bans, another value waits (firewall-drop flush).',
    ),
    chains: list(
      { of: 'chain', default: ['INPUT', 'FORWARD'], minEntries: 1 },
      'The chains of the filter table that get plain rules. Sets drop earlier, for all of them: before\nconnection tracking and routing. A chain that is left out keeps its rules, and gets those of new\nbans, until there are no bans (firewall-drop flush).',
    ),
    docker: flag(
      true,
      'DOCKER-USER too, where that chain exists: what is sent to a container never meets INPUT. Sets\nneed no rule there.',
    ),
    kill_connections: flag(
      false,
      'Also have the kernel forget the connections that a blocked address has open, to this host and\nthrough it (conntrack -D). Their packets are dropped in any case. Takes the program conntrack.',
    ),
    keep_on_agent_stop: flag(
      false,
      'Keep bans when the agent stops or restarts: a delete of execd that comes before its timeout\ncan be over does not end a ban, which then lasts until its own deadline. Off, since some people\nstop the agent to unblock everybody.',
    ),
    lock_wait_seconds: whole(
      { default: 10, min: 1, max: 60 },
      "How long iptables may wait for the kernel's own lock (xtables), in seconds: 1 to 60.",
    ),
    program_timeout_seconds: whole(
      { default: 15, min: 1, max: 120 },
      'How long one run of a firewall program may take, in seconds: 1 to 120.',
    ),
  },
  protect: {
    allow: list(
      { of: 'address', default: [] },
      'Addresses and networks that are never blocked, such as ["192.0.2.10", "2001:db8::/32"].',
    ),
    allow_files: list(
      { of: 'file', default: [] },
      'Files with more of them, one a line, by absolute path.',
    ),
    resolvers: flag(true, 'Never block the resolvers of this host.'),
    gateways: flag(true, 'Never block the default gateways of this host.'),
    manager: flag(true, 'Never block the Wazuh or OSSEC manager that this agent reports to.'),
    white_list: flag(true, 'Never block what a white_list in an ossec.conf on this host names.'),
  },
  alert: {
    address_fields: list(
      { of: 'field', default: DEFAULT_ADDRESS_FIELDS, minEntries: 1 },
      'Where an alert keeps the address to block, below parameters.alert; the first of these\nthat holds an address wins.',
    ),
    wazuh5_fields: list(
      { of: 'field', default: WAZUH5_ADDRESS_FIELDS, minEntries: 1 },
      'The same for Wazuh 5, from the root of the document that its message holds.',
    ),
    cloud_fields: flag(
      false,
      'Look into the fields of cloud services too (Office 365, AWS, Google Cloud, MS Graph), last.',
    ),
  },
  limits: {
    total_seconds: whole(
      { default: 20, min: 2, max: 120 },
      'How long one run may take, in seconds: 2 to 120. execd handles nothing else meanwhile.',
    ),
    lock_wait_seconds: whole(
      { default: 10, min: 0, max: 60 },
      'How long a run may wait for another one to finish, in seconds: 0 to 60. An alert waits for at most\nthree quarters of total_seconds.',
    ),
    grace_seconds: whole(
      { default: 60, min: 0, max: 86_400 },
      "How long after execd's own timeout a block ends by itself if execd never releases it, in\nseconds: 0 to 86400.",
    ),
    bans_per_minute: whole(
      { default: 300, min: 0, max: 100_000 },
      'How many bans alerts may begin within a minute, 0 for any number: what comes beyond is refused,\nas in a flood of forged addresses. What people add is not counted.',
    ),
  },
  escalation: {
    timeouts: list(
      { of: 'duration', default: [] },
      'The first ban of an address within the window lasts at least the first of these, the second\nthe second, and so on; the last one counts for all further: ["10m", "1h", "24h", "7d"]. Empty: off.',
    ),
    window: duration(
      { default: '30d', mayBeNever: false },
      'For how long a ban counts. firewall-drop forgive ADDRESS forgets those of an address.',
    ),
  },
  aggregate: {
    ipv6_prefix: whole(
      { default: 128, min: 32, max: 128 },
      'Ban the network of this prefix length that an IPv6 offender is in, such as 64: 32 to 128.\nWhere it contains a protected address, the offender alone is banned.',
    ),
    ipv4_prefix: whole(
      { default: 24, min: 16, max: 32 },
      'The prefix length of the networks that ipv4_count is about: 16 to 32.',
    ),
    ipv4_count: whole(
      { default: 0, min: 0, max: 256 },
      'As soon as so many IPv4 addresses of one network would be banned, ban the network instead,\nuntil the last of their deadlines. 0: never.',
    ),
  },
  manual: {
    timeout: duration(
      { default: '24h', mayBeNever: true },
      'How long firewall-drop add blocks an address without --timeout: "90m", "24h", "7d", "never".',
    ),
  },
  history: {
    keep_days: whole(
      { default: 90, min: 0, max: 3650 },
      'How long the history is kept, in days: 0 to 3650; at most its newest 500,000 lines.',
    ),
  },
} satisfies Readonly<Record<string, Settings>>;

type Schema = typeof SCHEMA;

/**
 * The whole configuration: each key of config.toml in camel case under its table
 * (`limits.total_seconds` is `limits.totalSeconds`). `alert.addressFields` already ends with the cloud fields if they are on.
 */
export type Config = {
  readonly [Section in keyof Schema]: {
    readonly [Key in keyof Schema[Section] as CamelCase<Key>]: ValueOf<Schema[Section][Key]>;
  };
} & {
  readonly policy: readonly PolicyEntry[];
};

/** What holds without a config file. */
export const DEFAULT_CONFIG: Config = buildConfig(() => undefined);

/** Walks the schema once; `read` gives a key's value, or undefined for its default. */
export function buildConfig(
  read: (section: string, key: string, setting: Setting) => Value,
  policy: readonly PolicyEntry[] = [],
): Config {
  const sections = Object.entries(SCHEMA).map(([section, settings]) => {
    return [section, buildTable(settings, (key, setting) => read(section, key, setting))];
  });
  return withCloudFields(Object.fromEntries([...sections, ['policy', policy]]) as Config);
}

function withCloudFields(config: Config): Config {
  if (!config.alert.cloudFields) return config;
  const fields = new Set([...config.alert.addressFields, ...CLOUD_ADDRESS_FIELDS]);
  return { ...config, alert: { ...config.alert, addressFields: [...fields] } };
}
