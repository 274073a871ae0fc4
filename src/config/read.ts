// Reads config.toml and the policy that the manager sends to the agents of a group. If config.toml is unusable, the
// last readable [protect] still applies: a mistake must not lock an administrator out.
import type { Store } from '../state/store.ts';
import { remember } from './cache.ts';
import type { GroupPolicy } from './group-policy.ts';
import type * as Parsers from './parsers.ts';
import type { Config } from './schema.ts';

export const CONFIG_FILE = '/etc/firewall-drop/config.toml';
/** The maximum size of a configuration file, in bytes. */
export const LARGEST_FILE = 1024 * 1024;

export interface FileReader {
  readonly store: Store;
  readonly warn: (problem: string) => void;
}

export interface ConfigReader extends FileReader {
  /** Reports a problem that an earlier run has already reported with `warn`. */
  readonly remind: (problem: string) => void;
  /** True to save at once which problems were reported. Otherwise, a run without changes does not save them. */
  readonly mayWait: boolean;
}

type Protect = Config['protect'];

/** Returns the defaults if the file is absent or unusable. */
export function readConfig(reader: ConfigReader, path = CONFIG_FILE): Config {
  const { store } = reader;
  const found: string[] = [];
  const config = remember(store, {
    path,
    largestBytes: LARGEST_FILE,
    absent: defaults,
    unusable: () => ({ ...defaults(), protect: lastProtect(store) }),
    objection: ({ uid, mode }) => {
      const safe = [0, process.getuid?.()].includes(uid) && (mode & 0o022) === 0;
      return safe
        ? ''
        : 'it must be owned by root and writable by nobody else (chown root:root, chmod 0644); the defaults are used; addresses that it protected before stay protected';
    },
    parse: (text) => {
      const { formatProblem, parseConfig } = parsers();
      const { config, problems, doubtful } = parseConfig(text, path);
      found.push(...problems.map(formatProblem));
      const protect = withLast(config.protect, doubtful, lastProtect(store));
      store.metadata.set(PROTECT, JSON.stringify(protect));
      return { value: { ...config, protect }, lasting: problems.length === 0 };
    },
    onProblem: (problem) => found.push(problem),
  });
  report(found, reader);
  return config;
}

function defaults(): Config {
  return parsers().DEFAULT_CONFIG;
}

function parsers(): typeof Parsers {
  return require('./parsers.ts') as typeof Parsers;
}

const REPORTED = 'problems of the config that were reported';
/** The number of characters to compare; the first problems are enough to detect a change of the file. */
const LONGEST_REPORT = 4000;

/** Warns about problems only when they change; otherwise every alert would log the same mistake. */
function report(problems: readonly string[], reader: ConfigReader): void {
  const { store, warn, remind, mayWait } = reader;
  const text = problems.join('\n').slice(0, LONGEST_REPORT);
  const reported = store.metadata.get(REPORTED) ?? '';
  problems.forEach(text === reported ? remind : warn);
  if (text === reported) return;
  store.metadata.set(REPORTED, text);
  if (mayWait) store.metadata.flush();
}

const PROTECT = 'protect of the last readable config';

function lastProtect(store: Store): Protect {
  const last = store.metadata.getJson(PROTECT) as Partial<Protect> | null;
  return { ...defaults().protect, ...last };
}

/** Adds the previous entries to a doubtful list, and keeps the previous value of any other doubtful key. */
function withLast(now: Protect, doubtful: readonly (keyof Protect)[], last: Protect): Protect {
  const kept = doubtful.map((key) => {
    const [value, before]: readonly unknown[] = [now[key], last[key]];
    if (!Array.isArray(value) || !Array.isArray(before)) return [key, before];
    return [key, [...new Set<unknown>([...(before as unknown[]), ...(value as unknown[])])]];
  });
  return { ...now, ...Object.fromEntries(kept) } as Protect;
}

export const NO_GROUP_POLICY: GroupPolicy = { allow: [], policy: [] };

const LARGEST_POLICY = 64 * 1024;

/** Returns the path of the group policy in the agent's home. */
export function groupPolicyFile(home: string): string {
  return `${home}/etc/shared/firewall-drop.toml`;
}

/**
 * Reads the group policy; if it cannot be read, returns its last readable version. Reports its problems after each
 * change.
 */
export function readGroupPolicy(home: string, { store, warn }: FileReader): GroupPolicy {
  const path = groupPolicyFile(home);
  return remember<GroupPolicy>(store, {
    path,
    largestBytes: LARGEST_POLICY,
    absent: () => NO_GROUP_POLICY,
    parse: (text) => {
      const { formatProblem, parseGroupPolicy } = parsers();
      const { value, problems } = parseGroupPolicy(text, path);
      for (const problem of problems) warn(formatProblem(problem));
      return { value, lasting: true };
    },
    onProblem: warn,
  });
}
