// Policy that the manager sends to the agents of a group. The agent's user can write that file as well, so it can only
// make us gentler: protect more, ignore alerts, and end bans sooner.
import { remember } from '../config/cache.ts';
import { policyFrom } from '../config/json.ts';
import type * as Locate from '../config/locate.ts';
import type * as Policy from '../config/policy.ts';
import { CONDITIONS, POLICY_KEYS, type PolicyEntry } from '../config/policy-schema.ts';
import type { FileReader } from '../config/read.ts';
import { SCHEMA } from '../config/schema.ts';
import { checkValue, isTable, ownProperty, shorten } from '../config/values.ts';
import type * as SmolToml from 'smol-toml';

export interface GroupPolicy {
  readonly allow: readonly string[];
  readonly policy: readonly PolicyEntry[];
}

export const NO_GROUP_POLICY: GroupPolicy = { allow: [], policy: [] };

const LARGEST = 64 * 1024;
/** Each is compared with every address that is to be blocked. */
const MOST_ALLOWED = 1000;
const GROUP_KEYS = {
  ...CONDITIONS,
  action: POLICY_KEYS.action,
  timeout_max: POLICY_KEYS.timeout_max,
};

/** Where it arrives in the home of an agent. */
export function groupPolicyFile(home: string): string {
  return `${home}/etc/shared/firewall-drop.toml`;
}

/** What the file says; where it can't be read, what it said last. Its problems are said once after each change of it. */
export function readGroupPolicy(home: string, { store, warn }: FileReader): GroupPolicy {
  const path = groupPolicyFile(home);
  return remember<GroupPolicy>(store, {
    path,
    largestBytes: LARGEST,
    absent: NO_GROUP_POLICY,
    parse: (text) => {
      const { value, problems } = parseGroupPolicy(text, path);
      const { formatProblem } = require('../config/locate.ts') as typeof Locate;
      for (const problem of problems) warn(formatProblem(problem));
      return { value, lasting: true };
    },
    toJson: JSON.stringify,
    fromJson: (text) => {
      const value: unknown = JSON.parse(text);
      return {
        allow: checkValue(SCHEMA.protect.allow, ownProperty(value, 'allow')).value as string[],
        policy: policyFrom(ownProperty(value, 'policy')),
      };
    },
    onProblem: warn,
  });
}

/** Throws where the text is no TOML. Problems are in the order of lines. */
export function parseGroupPolicy(
  text: string,
  file: string,
): { readonly value: GroupPolicy; readonly problems: readonly Locate.ConfigProblem[] } {
  const { parse } = require('smol-toml') as typeof SmolToml;
  const { locate } = require('../config/locate.ts') as typeof Locate;
  const { readPolicy, MOST_NAMED, NOT_NAMED } = require('../config/policy.ts') as typeof Policy;
  const root = parse(text, { integersAsBigInt: 'asNeeded', maxDepth: 16 });
  const { entries, mistakes } = readPolicy(ownProperty(root, 'policy'), text, GROUP_KEYS);
  const written = ownProperty(ownProperty(root, 'protect'), 'allow');
  const allow =
    written === undefined ? { value: [], problems: [] } : checkValue(SCHEMA.protect.allow, written);
  const inAllow = allow.problems.map(({ message, entry }) => {
    return { path: ['protect', 'allow'], message: `\`protect.allow\` ${message}`, entry };
  });
  const all = [...refusals(root), ...inAllow, ...mistakes];
  const named = all.slice(0, MOST_NAMED);
  if (all.length > named.length) named.push({ path: [], message: NOT_NAMED });
  const allowed = (allow.value ?? []) as readonly string[];
  return {
    value: { allow: allowed.slice(0, MOST_ALLOWED), policy: entries },
    problems: locate(named, text, file),
  };
}

/** All that is neither protect.allow nor [[policy]], by its name. */
function refusals(root: object): Locate.Mistake[] {
  const paths = Object.entries(root).flatMap(([section, value]: [string, unknown]) => {
    if (section === 'policy') return [];
    if (!isTable(value)) return [[section]];
    const keys = Object.keys(value).filter((key) => section !== 'protect' || key !== 'allow');
    return keys.map((key) => [section, key]);
  });
  return paths.map((path) => {
    const name = shorten(path.map((part) => JSON.stringify(part).slice(1, -1)).join('.'));
    const why =
      'this file may only name protect.allow and [[policy]] entries that ignore or shorten';
    return { path, message: `\`${name}\` is refused: ${why}` };
  });
}
