// Finds the agent's home and this program's name there from argv[0] and the path of the executable.
import { realpathSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { orElse } from '../model/errors.ts';

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
