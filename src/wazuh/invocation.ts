// Which of the front doors somebody knocks at, told from the arguments alone.
export type Door = 'wazuh' | 'ossec' | 'person';

/** ossec-execd's fourth and fifth argument: ids, or what it says when a person on the manager asked. */
const ALERT_ID = /^(?:[0-9]+\.[0-9]+|\(from_the_server\))$/;
const RULE_ID = /^(?:[0-9]+|\(no_rule_id\))$/;

/** Without arguments on a terminal there is nobody to answer but the person at it. */
export function chooseDoor(args: readonly string[], stdinIsTerminal: boolean): Door {
  if (args.length === 0) return stdinIsTerminal ? 'person' : 'wazuh';
  return isFromOssec(args) ? 'ossec' : 'person';
}

/**
 * The second argument is a user name that an attacker may have chosen: neither an option nor an address in its place
 * may lead to a person's door, where more is allowed. So the ids decide, which execd always gives, or the `-` that it
 * nearly always gives for the user and that is no address.
 */
function isFromOssec([action, user, ip, alertId, ruleId]: readonly string[]): boolean {
  if (action !== 'add' && action !== 'delete') return false;
  if (user === '-' && ip !== undefined) return true;
  return ALERT_ID.test(alertId ?? '') && RULE_ID.test(ruleId ?? '');
}
