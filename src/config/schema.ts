// The one table of all keys of config.toml: what each may hold, and what holds without it; and the Config that follows from it.
// What each means stands in packaging/config.toml.
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
    format: choice(['ossec', 'wazuh', 'both'], 'ossec'),
    program_name: word({
      default: undefined,
      pattern: /^[A-Za-z0-9._-]{1,64}$/,
      expected: '1 to 64 letters, digits, dots, dashes or underscores in quotes',
    }),
    level: choice(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'], 'warn'),
  },
  firewall: {
    backend: choice(['auto', 'iptables', 'ipset', 'nftables'], 'auto'),
    promote_at: whole({ default: 100, min: 1, max: 100_000 }),
    set_name: word({
      default: 'firewall-drop',
      pattern: /^[A-Za-z0-9_][A-Za-z0-9_-]{0,23}$/,
      expected: '1 to 24 letters, digits, dashes or underscores in quotes',
    }),
    max_entries: whole({ default: 131_072, min: 1024, max: 16_777_216 }),
    variant: choice(['auto', 'nft', 'legacy'], 'auto'),
    chains: list({ of: 'chain', default: ['INPUT', 'FORWARD'], minEntries: 1 }),
    docker: flag(true),
    kill_connections: flag(false),
    keep_on_agent_stop: flag(false),
    lock_wait_seconds: whole({ default: 10, min: 1, max: 60 }),
    program_timeout_seconds: whole({ default: 15, min: 1, max: 120 }),
  },
  protect: {
    allow: list({ of: 'address', default: [] }),
    allow_files: list({ of: 'file', default: [] }),
    resolvers: flag(true),
    gateways: flag(true),
    manager: flag(true),
    white_list: flag(true),
  },
  alert: {
    address_fields: list({ of: 'field', default: DEFAULT_ADDRESS_FIELDS, minEntries: 1 }),
    wazuh5_fields: list({ of: 'field', default: WAZUH5_ADDRESS_FIELDS, minEntries: 1 }),
    cloud_fields: flag(false),
  },
  limits: {
    total_seconds: whole({ default: 20, min: 2, max: 120 }),
    lock_wait_seconds: whole({ default: 10, min: 0, max: 60 }),
    grace_seconds: whole({ default: 60, min: 0, max: 86_400 }),
    bans_per_minute: whole({ default: 300, min: 0, max: 100_000 }),
  },
  escalation: {
    timeouts: list({ of: 'duration', default: [] }),
    window: duration({ default: '30d', mayBeNever: false }),
  },
  aggregate: {
    ipv6_prefix: whole({ default: 128, min: 32, max: 128 }),
    ipv4_prefix: whole({ default: 24, min: 16, max: 32 }),
    ipv4_count: whole({ default: 0, min: 0, max: 256 }),
  },
  manual: {
    timeout: duration({ default: '24h', mayBeNever: true }),
  },
  history: {
    keep_days: whole({ default: 90, min: 0, max: 3650 }),
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
