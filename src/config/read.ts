// Reads config.toml, and the policy that the manager sends to the agents of a group. Where config.toml can't be used, the
// last readable [protect] stays in force: a mistake must not lock anybody out.
import type { Store } from '../state/store.ts';
import { remember } from './cache.ts';
import type { GroupPolicy } from './group-policy.ts';
import type * as Parsers from './parsers.ts';
import type { Config } from './schema.ts';

export const CONFIG_FILE = '/etc/firewall-drop/config.toml';
/** Of a configuration, in bytes. */
export const LARGEST_FILE = 1024 * 1024;

export interface FileReader {
  readonly store: Store;
  readonly warn: (problem: string) => void;
}

export interface ConfigReader extends FileReader {
  /** In place of `warn` for problems that were reported by an earlier run. */
  readonly remind: (problem: string) => void;
  /** Whether there is time to note at once what was reported: a run that changes nothing would otherwise forget it. */
  readonly mayWait: boolean;
}

type Protect = Config['protect'];

/** The defaults where the file is absent or can't be used. */
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
      return safe ? '' : 'it must belong to root and be writable by nobody else; defaults are used';
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
/** More is not compared: the first problems distinguish one state of a file from another. */
const LONGEST_REPORT = 4000;

/** A mistake that stays would otherwise be in the log once for each alert. */
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

/** A doubtful list has what it had and what can be read of it; any other doubtful key is what it was. */
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

/** Where it arrives in the home of an agent. */
export function groupPolicyFile(home: string): string {
  return `${home}/etc/shared/firewall-drop.toml`;
}

/** What the file says; where it can't be read, what it said last. Its problems are said once after each change of it. */
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
