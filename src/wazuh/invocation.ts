// Determines from argv and the executable how the program was started: by wazuh-execd, ossec-execd, or a person on the
// command line, and in which agent's home.
import { realpathSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { orElse } from '../model/errors.ts';

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

export interface Place {
  /** The agent's home, for example `/var/ossec`. */
  readonly home: string;
  /** The base name of argv[0], for messages and log lines. */
  readonly name: string;
}

type Start = Pick<NodeJS.Process, 'argv0' | 'cwd' | 'execPath'>;

const DEFAULT_HOME = '/var/ossec';
const DEFAULT_NAME = 'firewall-drop';
const NAME = /^(?!\.\.?$)[A-Za-z0-9._-]{1,64}$/;

/**
 * Uses the path in argv[0] only if it leads to this executable, so that a forged argv[0] changes nothing but the name.
 */
export function findPlace(start: Start): Place {
  const name = basename(start.argv0);
  return {
    home: homeByArgv0(start) ?? homeOf(start.execPath) ?? DEFAULT_HOME,
    name: NAME.test(name) ? name : DEFAULT_NAME,
  };
}

function homeByArgv0(start: Start): string | null {
  const { argv0, execPath } = start;
  // A name without a slash was found through PATH and says nothing about the home.
  if (!argv0.includes('/')) return null;
  // If the file or the working directory no longer exists, the path of the executable decides.
  return orElse(null, () => {
    const path = resolve(start.cwd(), argv0);
    const home = homeOf(path);
    return home !== null && realpathSync(path) === realpathSync(execPath) ? home : null;
  });
}

function homeOf(program: string): string | null {
  const bin = dirname(program);
  const responses = dirname(bin);
  if (basename(bin) !== 'bin' || basename(responses) !== 'active-response') return null;
  return dirname(responses);
}
