// Whose active response we are: the agent's home and our name in it, from argv[0] and from the executable.
import { realpathSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';

export interface Place {
  /** The agent's home, for example `/var/ossec`. */
  readonly home: string;
  /** argv[0]'s base name, for messages and log lines. */
  readonly name: string;
}

/** What the kernel says of how the program was started. */
export interface StartFacts {
  readonly argv0: string;
  readonly workingDirectory: () => string;
  readonly executable: string;
}

const DEFAULT_HOME = '/var/ossec';
const DEFAULT_NAME = 'firewall-drop';
const LONGEST_NAME = 64;
const NAME = /^[A-Za-z0-9._-]+$/;

/** argv[0] counts only where it leads to this very executable, so a false one changes nothing but the name. */
export function findPlace(facts: StartFacts): Place {
  const name = basename(facts.argv0);
  return {
    home: homeByArgv0(facts) ?? homeOf(facts.executable) ?? DEFAULT_HOME,
    name: isName(name) ? name : DEFAULT_NAME,
  };
}

function isName(text: string): boolean {
  return text.length <= LONGEST_NAME && NAME.test(text) && text !== '.' && text !== '..';
}

function homeByArgv0({ argv0, workingDirectory, executable }: StartFacts): string | null {
  try {
    // A bare name was found through PATH: it says nothing about where.
    if (!argv0.includes('/')) return null;
    const path = resolve(workingDirectory(), argv0);
    const home = homeOf(path);
    return home !== null && realpathSync(path) === realpathSync(executable) ? home : null;
  } catch {
    // No such file, or no working directory any more: the executable's own path decides.
    return null;
  }
}

function homeOf(program: string): string | null {
  const bin = dirname(program);
  const responses = dirname(bin);
  if (basename(bin) !== 'bin' || basename(responses) !== 'active-response') return null;
  return dirname(responses);
}
