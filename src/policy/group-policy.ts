// Policy that the manager sends to the agents of a group, remembered while its file stays as it is.
import { remember } from '../config/cache.ts';
import type * as Parsers from '../config/parsers.ts';
import type { GroupPolicy } from '../config/group-policy.ts';
import type { FileReader } from '../config/read.ts';

export const NO_GROUP_POLICY: GroupPolicy = { allow: [], policy: [] };

const LARGEST = 64 * 1024;

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
    absent: () => NO_GROUP_POLICY,
    parse: (text) => {
      const parsers = require('../config/parsers.ts') as typeof Parsers;
      const { value, problems } = parsers.parseGroupPolicy(text, path);
      for (const problem of problems) warn(parsers.formatProblem(problem));
      return { value, lasting: true };
    },
    onProblem: warn,
  });
}
