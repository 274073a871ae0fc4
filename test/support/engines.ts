/** Models how the rule engines of OSSEC and Wazuh were observed to treat a line of active-responses.log. */
import { parseJson, textAt } from '../../src/wazuh/json.ts';

/** The beginning that both engines require: a date of date(1) and an absolute path to an active response. */
const HEAD =
  /^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d [+-]?[A-Za-z0-9]+ \d{4} \/\S*\/active-response\/bin\/(?=\S)/;
const RULES: Readonly<Record<string, number>> = { add: 601, delete: 602 };

/**
 * Returns the rule that OSSEC 4.2 raises: 600, without an alert, if its decoder finds no fields; null if it does not
 * decode the line.
 */
export function ossecRule(line: string): number | null {
  if (!HEAD.test(line)) return null;
  const [, verb = ''] = /^\S+\.sh (\S+) - \S+ \d+\.\d+ \d+$/.exec(line.replace(HEAD, '')) ?? [];
  return RULES[verb] ?? 600;
}

/** Returns the rule that Wazuh 4.14 raises; null if it does not decode the line. */
export function wazuhRule(line: string): number | null {
  if (!HEAD.test(line)) return null;
  const [, verb = ''] = /^\S+ (\S+) \S+ \S+ \S+ \S+$/.exec(line.replace(HEAD, '')) ?? [];
  return RULES[verb] ?? 607;
}

/** Returns rule 651 or 652 with the address that its decoder finds; null if neither rule matches. */
export function wazuhMessageRule(line: string): [number, string | null] | null {
  const message = /^\d{4}(?:\/\d\d){2} \d\d(?::\d\d){2} active-response\/bin\/\S+: (\{.*\})$/.exec(
    line,
  )?.[1];
  const value = message === undefined ? null : parseJson(message);
  const rule = { add: 651, delete: 652 }[textAt(value, 'command') ?? ''];
  if (rule === undefined || !textAt(value, 'parameters', 'program')?.includes('firewall-drop'))
    return null;
  return [rule, /"data":\{"srcip":"([^"]+)"/.exec(line)?.[1] ?? null];
}
