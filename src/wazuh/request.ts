// What execd asks for, in one form for all of its dialects.
import type { AlertFacts } from '../policy/entries.ts';
import { printable } from '../system/printable.ts';
import type { WazuhProblem } from './protocol-error.ts';
import type { Source } from './source.ts';

export interface Request extends Source {
  readonly dialect: 'wazuh4' | 'wazuh5' | 'ossec';
  readonly action: 'block' | 'unblock';
  /** `addressTrouble` in the words of Wazuh's own program. */
  readonly addressProblem: WazuhProblem;
  /** The alert's id where it has the shape that rules decode, otherwise null. */
  readonly alertId: string | null;
  readonly ruleId: string | null;
  /** Seconds that the message itself gives (Wazuh 5); null: it says for ever; undefined: it does not say. */
  readonly timeoutSeconds: number | null | undefined;
  /** What the rule is about, for people; printable and short. */
  readonly reason: string;
  /** Words that the manager's administrator gave the response. */
  readonly extraArguments: readonly string[];
  readonly facts: AlertFacts;
}

const ALERT_ID = /^[0-9]{1,20}\.[0-9]{1,20}$/;
const RULE_ID = /^[0-9]{1,10}$/;
const LONGEST_REASON = 200;

export function readAlertId(text: string | undefined): string | null {
  return text !== undefined && ALERT_ID.test(text) ? text : null;
}

export function readRuleId(text: string | undefined): string | null {
  return text !== undefined && RULE_ID.test(text) ? text : null;
}

/** Free text of an alert, fit for a table. */
export function readReason(text: string | undefined): string {
  return printable((text ?? '').slice(0, LONGEST_REASON));
}
