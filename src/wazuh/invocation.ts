// Determines from the arguments who started the program: wazuh-execd, ossec-execd, or a person on the command line.
export type Invocation = 'wazuh' | 'ossec' | 'command-line';

/**
 * The fourth and fifth argument of ossec-execd: ids, or fixed texts if a person on the manager started the response.
 */
const ALERT_ID = /^(?:[0-9]+\.[0-9]+|\(from_the_server\))$/;
const RULE_ID = /^(?:[0-9]+|\(no_rule_id\))$/;

/** Returns who started the program. Without arguments, it was wazuh-execd unless standard input is a terminal. */
export function readInvocation(args: readonly string[], stdinIsTerminal: boolean): Invocation {
  if (args.length === 0) return stdinIsTerminal ? 'command-line' : 'wazuh';
  return isFromOssec(args) ? 'ossec' : 'command-line';
}

/**
 * An attacker can choose the second argument, a user name. A user name that looks like an option or an address must not
 * select the command line, where more is allowed. Therefore the ids decide, which execd always passes, or a user of
 * `-`, which execd nearly always passes and which is not an address.
 */
function isFromOssec([action, user, ip, alertId, ruleId]: readonly string[]): boolean {
  if (action !== 'add' && action !== 'delete') return false;
  if (user === '-' && ip !== undefined) return true;
  return ALERT_ID.test(alertId ?? '') && RULE_ID.test(ruleId ?? '');
}
