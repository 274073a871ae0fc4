// A request of execd in one form for all of its dialects.
import type { AlertFacts } from '../policy/entries.ts';
import { printable } from '../system/printable.ts';
import type { WazuhProblem } from './protocol-error.ts';
import type { Source } from './source.ts';

export interface Request extends Source {
  readonly dialect: 'wazuh4' | 'wazuh5' | 'ossec';
  readonly action: 'block' | 'unblock';
  /** The text that Wazuh's own program logs if there is no address. */
  readonly addressProblem: WazuhProblem;
  /** The alert's id; null if it does not have the form that Wazuh's rules decode. */
  readonly alertId: string | null;
  readonly ruleId: string | null;
  /**
   * The timeout in a message of Wazuh 5, in seconds; null if it has none. undefined for dialects that never send one.
   */
  readonly timeoutSeconds: number | null | undefined;
  /** The description of the rule, for people; printable and short. */
  readonly reason: string;
  /** The arguments that the manager's administrator gave the active response. */
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

/** Makes free text of an alert short and printable, so that it fits a table. */
export function readReason(text: string | undefined): string {
  return printable((text ?? '').slice(0, LONGEST_REASON));
}
