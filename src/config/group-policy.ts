// Parses the policy that the manager sends to the agents of a group. The agent's user can write that file too, so it
// can only protect more addresses, ignore alerts, and shorten bans.
import { CONDITIONS, POLICY_KEYS, readPolicy, type PolicyEntry } from './policy.ts';
import { SCHEMA } from './schema.ts';
import {
  isTable,
  locate,
  ownProperty,
  parseToml,
  shorten,
  type ConfigProblem,
  type Mistake,
} from './toml.ts';

export interface GroupPolicy {
  readonly allow: readonly string[];
  readonly policy: readonly PolicyEntry[];
}

/** A limit, because each entry is compared with every address to block. */
const MOST_ALLOWED = 1000;
/** A limit, because each mistake takes time and a line in our log. */
const MOST_NAMED = 50;
const GROUP_KEYS = {
  ...CONDITIONS,
  action: POLICY_KEYS.action,
  timeout_max: POLICY_KEYS.timeout_max,
};

/** Throws if the text is not valid TOML. Problems are ordered by line. */
export function parseGroupPolicy(
  text: string,
  file: string,
): { readonly value: GroupPolicy; readonly problems: readonly ConfigProblem[] } {
  const root = parseToml(text);
  const { entries, mistakes } = readPolicy(ownProperty(root, 'policy'), GROUP_KEYS);
  const written = ownProperty(ownProperty(root, 'protect'), 'allow');
  const allow =
    written === undefined ? { value: [], problems: [] } : SCHEMA.protect.allow.check(written);
  const inAllow = allow.problems.map(({ message, entry }) => {
    return { path: ['protect', 'allow'], message: `\`protect.allow\` ${message}`, entry };
  });
  const all = [...refusals(root), ...inAllow, ...mistakes];
  const named = all.slice(0, MOST_NAMED);
  if (all.length > named.length) {
    named.push({ path: [], message: 'further mistakes are not listed' });
  }
  return {
    value: { allow: (allow.value ?? []).slice(0, MOST_ALLOWED), policy: entries },
    problems: locate(named, text, file),
  };
}

/** Refuses each key except protect.allow and [[policy]] by its name. */
function refusals(root: object): Mistake[] {
  const paths = Object.entries(root).flatMap(([section, value]: [string, unknown]) => {
    if (section === 'policy') return [];
    if (!isTable(value)) return [[section]];
    const keys = Object.keys(value).filter((key) => section !== 'protect' || key !== 'allow');
    return keys.map((key) => [section, key]);
  });
  return paths.map((path) => {
    const name = shorten(path.map((part) => JSON.stringify(part).slice(1, -1)).join('.'));
    const why =
      'this file can only have protect.allow and [[policy]] entries that ignore alerts or shorten bans';
    return { path, message: `\`${name}\` is refused: ${why}` };
  });
}
