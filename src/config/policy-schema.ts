// The table of the keys of a [[policy]] entry: what each may hold, and its documentation.
import type { CamelCase, ListSetting, Setting, ValueOf } from './setting.ts';

const listOf = (of: ListSetting['of'], doc: string): ListSetting => {
  return { kind: 'list', of, default: [], doc };
};

/** Conditions; an alert has to meet all that an entry has. */
export const CONDITIONS = {
  rule_id: listOf('rule', 'The rule is one of these: [5712, 5720].'),
  level_min: {
    kind: 'whole',
    default: 0,
    min: 0,
    max: 16,
    doc: 'The rule has at least this level.',
  },
  group: listOf('name', 'The rule is in one of these groups.'),
  agent: listOf('name', 'The agent has one of these names.'),
  address: listOf('address', 'The address is one of these, or in one of these networks.'),
  field: listOf(
    'value',
    'Each of these fields of the alert has the value given: ["data.srcuser=root"].',
  ),
} as const satisfies Readonly<Record<string, Setting>>;

export const POLICY_KEYS = {
  ...CONDITIONS,
  action: {
    kind: 'choice',
    choices: ['block', 'ignore'],
    default: 'block',
    doc: '"ignore": the alert is refused, and nothing is blocked.',
  },
  timeout: {
    kind: 'duration',
    default: '',
    mayBeNever: true,
    doc: 'How long the ban lasts, whatever execd was configured with: an earlier delete of execd\ndoes not end it. "never": until somebody releases it.',
  },
  timeout_max: {
    kind: 'duration',
    default: '',
    mayBeNever: false,
    doc: 'The ban lasts no longer than this, whatever else is configured or asked for.',
  },
} as const satisfies Readonly<Record<string, Setting>>;

type PolicyKeys = typeof POLICY_KEYS;

/** One [[policy]] entry, its keys in camel case; a key that is not given has its default. */
export type PolicyEntry = {
  readonly [Key in keyof PolicyKeys as CamelCase<Key>]: ValueOf<PolicyKeys[Key]>;
};
