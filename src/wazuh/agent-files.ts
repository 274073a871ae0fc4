// What the agent's own files say about us, remembered while they stay as they are.
import { remember } from '../config/cache.ts';
import { LARGEST_FILE } from '../config/file.ts';
import type { FileReader } from '../config/read.ts';
import {
  NO_SETTINGS,
  readArConf,
  readOssecConf,
  type AgentSettings,
  type ConfiguredTimeout,
} from './agent-config.ts';

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
