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
    absent: () => [],
    parse: (text) => ({ value: readArConf(text), lasting: true }),
    onProblem: warn,
  });
}

/** `etc/ossec.conf` of the agent, or manager, at `home`. */
export function readSettings(home: string, { store, warn }: FileReader): AgentSettings {
  return remember<AgentSettings>(store, {
    path: `${home}/etc/ossec.conf`,
    largestBytes: LARGEST_FILE,
    absent: () => NO_SETTINGS,
    parse: (text) => ({ value: readOssecConf(text), lasting: true }),
    onProblem: warn,
  });
}
