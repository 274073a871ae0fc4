// How the program was started: by wazuh-execd, by ossec-execd or from the command line. The arguments alone say so.
export type Invocation = 'wazuh' | 'ossec' | 'command-line';

/** ossec-execd's fourth and fifth argument: ids, or what it says when a person on the manager asked. */
const ALERT_ID = /^(?:[0-9]+\.[0-9]+|\(from_the_server\))$/;
const RULE_ID = /^(?:[0-9]+|\(no_rule_id\))$/;

/** Without arguments on a terminal nobody but a person can have started it. */
export function readInvocation(args: readonly string[], stdinIsTerminal: boolean): Invocation {
  if (args.length === 0) return stdinIsTerminal ? 'command-line' : 'wazuh';
  return isFromOssec(args) ? 'ossec' : 'command-line';
}

/**
 * The second argument is a user name that an attacker may have chosen: neither an option nor an address in its place
 * may select the command line, where more is allowed. So the ids decide, which execd always gives, or the `-` that it
 * nearly always gives for the user and that is no address.
 */
function isFromOssec([action, user, ip, alertId, ruleId]: readonly string[]): boolean {
  if (action !== 'add' && action !== 'delete') return false;
  if (user === '-' && ip !== undefined) return true;
  return ALERT_ID.test(alertId ?? '') && RULE_ID.test(ruleId ?? '');
}
