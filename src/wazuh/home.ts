// Whose active response we are: the agent's home and our name in it, from argv[0] and from the executable.
import { realpathSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { orElse } from '../model/errors.ts';

export interface Place {
  /** The agent's home, for example `/var/ossec`. */
  readonly home: string;
  /** argv[0]'s base name, for messages and log lines. */
  readonly name: string;
}

type Start = Pick<NodeJS.Process, 'argv0' | 'cwd' | 'execPath'>;

const DEFAULT_HOME = '/var/ossec';
const DEFAULT_NAME = 'firewall-drop';
const NAME = /^(?!\.\.?$)[A-Za-z0-9._-]{1,64}$/;

/** argv[0] counts only where it leads to this very executable, so a false one changes nothing but the name. */
export function findPlace(start: Start): Place {
  const name = basename(start.argv0);
  return {
    home: homeByArgv0(start) ?? homeOf(start.execPath) ?? DEFAULT_HOME,
    name: NAME.test(name) ? name : DEFAULT_NAME,
  };
}

function homeByArgv0(start: Start): string | null {
  const { argv0, execPath } = start;
  // A bare name was found through PATH: it says nothing about where.
  if (!argv0.includes('/')) return null;
  // Without such a file, or a working directory, the executable's own path decides.
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
