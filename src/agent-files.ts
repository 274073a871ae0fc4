// Reads our configuration and the agent's files, and remembers what they said.
import { parseNetwork } from './model/address.ts';
import {
  configFromJson,
  configToJson,
  DEFAULT_CONFIG,
  formatProblem,
  parseConfig,
  type Config,
} from './config/config.ts';
import { remember } from './config/cache.ts';
import { CONFIG_FILE, LARGEST_FILE } from './config/file.ts';
import type { Store } from './state/store.ts';
import {
  NO_SETTINGS,
  readArConf,
  readOssecConf,
  type AgentSettings,
  type ConfiguredTimeout,
} from './wazuh/agent-config.ts';

export interface FileReader {
  readonly store: Store;
  readonly warn: (problem: string) => void;
}

const PROTECT_FACT = 'protect of the last readable config';

/**
 * `/etc/firewall-drop/config.toml`, or the defaults where it is absent or can't be used; but whom it protected when it
 * was last readable stays protected: a typing mistake must not lock anybody out.
 */
export function readConfig({ store, warn }: FileReader): Config {
  const unusable = (): Config => ({ ...DEFAULT_CONFIG, protect: lastProtect(store) });
  return remember(store, {
    path: CONFIG_FILE,
    largestBytes: LARGEST_FILE,
    absent: DEFAULT_CONFIG,
    unusable,
    objection: ({ uid, mode }) => {
      const safe = [0, process.getuid?.()].includes(uid) && (mode & 0o022) === 0;
      return safe ? '' : 'it must belong to root and be writable by nobody else; defaults are used';
    },
    parse: (text) => {
      const isNetwork = (entry: string): boolean => parseNetwork(entry) !== null;
      const { config, problems } = parseConfig(text, CONFIG_FILE, isNetwork);
      for (const problem of problems) warn(formatProblem(problem));
      // The parser gives the defaults themselves for a text that is no TOML at all.
      if (config === DEFAULT_CONFIG && problems.length > 0) {
        return { value: unusable(), lasting: false };
      }
      store.setMetadata(PROTECT_FACT, JSON.stringify(config.protect));
      return { value: config, lasting: problems.length === 0 };
    },
    toJson: configToJson,
    fromJson: configFromJson,
    onProblem: warn,
  });
}

function lastProtect(store: Store): Config['protect'] {
  return (store.metadataJson(PROTECT_FACT) ?? DEFAULT_CONFIG.protect) as Config['protect'];
}

/** `etc/shared/ar.conf` of the agent at `home`. */
export function readTimeouts(home: string, { store, warn }: FileReader): ConfiguredTimeout[] {
  return remember<ConfiguredTimeout[]>(store, {
    path: `${home}/etc/shared/ar.conf`,
    largestBytes: LARGEST_FILE,
    absent: [],
    parse: (text) => ({ value: readArConf(text), lasting: true }),
    toJson: JSON.stringify,
    fromJson: (text) => JSON.parse(text) as ConfiguredTimeout[],
    onProblem: warn,
  });
}

/** Grows when other elements of an ossec.conf count: what an older version remembered of the same file is read anew. */
const SETTINGS_VERSION = 2;

/** `etc/ossec.conf` of the agent, or manager, at `home`. */
export function readSettings(home: string, { store, warn }: FileReader): AgentSettings {
  return remember<AgentSettings>(store, {
    path: `${home}/etc/ossec.conf`,
    largestBytes: LARGEST_FILE,
    absent: NO_SETTINGS,
    parse: (text) => ({ value: readOssecConf(text), lasting: true }),
    toJson: (settings) => JSON.stringify({ version: SETTINGS_VERSION, settings }),
    fromJson: (text) => {
      const { version, settings } = JSON.parse(text) as {
        version?: number;
        settings: AgentSettings;
      };
      return version === SETTINGS_VERSION ? settings : null;
    },
    onProblem: warn,
  });
}
