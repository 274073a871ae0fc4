// The installation steps for the program's names in an agent's active-response/bin, and for the files that they
// replace.
import * as fs from 'node:fs';
import { basename, dirname, isAbsolute, resolve } from 'node:path';
import { AppError } from '../../model/errors.ts';
import { STATE_DIRECTORY } from '../../context.ts';
import {
  checksumOf,
  isWritableByOthers,
  lstatOrNull,
  modeText,
  realPathOf,
  replaceFile,
  statOrNull,
  textOrNull,
} from '../../system/paths.ts';
import type { Installed } from '../packaged.ts';
import { stepToRemove, type Step } from './steps.ts';

/** The directory from which an agent's execd starts programs. */
export interface Responses {
  readonly home: string;
  /** `HOME/active-response/bin`. */
  readonly directory: string;
  /** The agent's group, `wazuh` or `ossec`, which can execute the files there. */
  readonly gid: number;
}

/**
 * Finds the directory. Throws `NO_AGENT` if there is no agent, or if users other than root can replace what execd runs
 * as root.
 */
export function findResponses(home: string): Responses {
  const directory = `${home}/active-response/bin`;
  const stats = statOrNull(directory);
  if (stats?.isDirectory() !== true) {
    throw new AppError(
      'NO_AGENT',
      `there is no agent at ${home}: ${directory} is missing. Install the Wazuh or OSSEC agent first, or name its home with --home`,
    );
  }
  if (stats.uid !== 0 || isWritableByOthers(stats)) {
    throw new AppError(
      'NO_AGENT',
      `other users can write to ${directory}, whose files run as root: chown root ${directory} && chmod go-w ${directory}`,
    );
  }
  return { home, directory, gid: stats.gid };
}

export interface Placement extends Responses {
  /** The first name is the program; the others are symbolic links to it. */
  readonly names: readonly string[];
  /** True for symbolic links to the running executable instead of a copy, as packages need. */
  readonly link: boolean;
}

/** The suffix of a file that the program has replaced. */
const KEPT = '.replaced';
/** The suffix of a file that is renamed once it is complete. */
const FRESH = '.new';
/** Records the paths and checksums of installed programs, to tell an older version of ours from another program. */
const PLACED_FILE = `${STATE_DIRECTORY}/placed.json`;
const MOST_PLACED = 50;

export function stepsToPlace(placement: Placement): Step[] {
  const { directory, gid, names } = placement;
  const executable = fs.realpathSync(process.execPath);
  return names.flatMap((name, index) => {
    const path = `${directory}/${name}`;
    const target = linkTargetFor(placement, index, executable);
    // Evaluate this before anything changes. A link to a file that we replace is not ours either.
    const isOurLink = target !== null && linkTarget(path) === target && readPlaced().includes(path);
    const isFree = !exists(path) || isOurLink || isOurs(path, executable);
    const keep = {
      state: `${path}${KEPT} keeps the previous ${path}`,
      holds: () => isFree,
      reach: () => {
        fs.rmSync(path + KEPT, { force: true });
        // Add a second link first, so that execd always finds a file.
        fs.linkSync(path, path + KEPT);
      },
    };
    return [keep, target === null ? stepToCopy(path, executable, gid) : stepToLink(path, target)];
  });
}

/** Returns the link target for the name at `index`; null if that name is the program itself. */
function linkTargetFor(
  { names, link }: Placement,
  index: number,
  executable: string,
): string | null {
  if (link) return executable;
  return index === 0 ? null : (names[0] ?? null);
}

function stepToCopy(path: string, executable: string, gid: number): Step {
  return {
    state: `${path} is this program, owned by root and the agent's group`,
    holds: () => {
      const stats = lstatOrNull(path);
      const isInstalled = stats?.isFile() === true && stats.uid === 0 && stats.gid === gid;
      return isInstalled && modeText(stats) === '0750' && isSameFile(path, executable);
    },
    reach: () => {
      notePlaced([path, checksumOf(executable)]);
      fs.rmSync(path + FRESH, { force: true });
      const content = fs.readFileSync(executable);
      replaceFile({ path, content, mode: 0o750, gid, temporary: path + FRESH });
    },
  };
}

function stepToLink(path: string, target: string): Step {
  return {
    state: `${path} is a link to ${target}`,
    holds: () => linkTarget(path) === target,
    reach: () => {
      notePlaced([path]);
      const fresh = path + FRESH;
      fs.rmSync(fresh, { force: true });
      fs.symlinkSync(target, fresh);
      fs.renameSync(fresh, path);
    },
  };
}

/** Finds the program in the home of another agent on this host; null if there is none. */
export function installedElsewhere({ directory }: Responses): Installed | null {
  const executable = fs.realpathSync(process.execPath);
  const program = readPlaced().find((entry) => {
    const isElsewhere = isAbsolute(entry) && !isIn(directory, entry);
    return isElsewhere && exists(entry) && isOurs(entry, executable);
  });
  return program === undefined ? null : { home: resolve(program, '../../..'), program };
}

/** Reports whether a recorded path is in `directory`. Compares real paths, because a home can be a symbolic link. */
function isIn(directory: string, noted: string): boolean {
  return isAbsolute(noted) && realPathOf(dirname(noted)) === realPathOf(directory);
}

/**
 * Returns the steps that remove our names, including recorded names that are not given, and restore what they replaced.
 */
export function stepsToRemove({ directory, names: given }: Placement): Step[] {
  const executable = fs.realpathSync(process.execPath);
  const placed = readPlaced().filter((entry) => isIn(directory, entry));
  const names = new Set([...given, ...placed.map((path) => basename(path))]);
  return [...names].flatMap((name) => {
    const path = `${directory}/${name}`;
    const isOurLink = names.has(linkTarget(path) ?? '');
    const isForeign = exists(path) && !isOurLink && !isOurs(path, executable);
    const unfinished = stepToRemove(path + FRESH);
    if (!exists(path + KEPT)) return isForeign ? [unfinished] : [unfinished, stepToRemove(path)];
    if (!isForeign) return [unfinished, stepToRestore(path)];
    const newer = `${path}${KEPT} is removed, because ${path} is newer and not ours`;
    return [unfinished, stepToRemove(path + KEPT, newer)];
  });
}

function stepToRestore(path: string): Step {
  return {
    state: `${path} is the previous file again`,
    holds: () => !exists(path + KEPT),
    reach: () => {
      fs.renameSync(path + KEPT, path);
      // rename(2) does nothing if both are links to the same file.
      fs.rmSync(path + KEPT, { force: true });
    },
  };
}

function isOurs(path: string, executable: string): boolean {
  if (fs.lstatSync(path).isSymbolicLink()) return leadsToProgram(path, executable);
  if (!fs.statSync(path).isFile()) return false;
  if (isSameFile(path, executable)) return true;
  const placed = readPlaced();
  return placed.length > 0 && placed.includes(checksumOf(path));
}

/** Compares the contents. */
function isSameFile(path: string, other: string): boolean {
  return (
    fs.statSync(path).size === fs.statSync(other).size && checksumOf(path) === checksumOf(other)
  );
}

/** Reports whether a link leads to this program, or nowhere: an upgrade in progress leaves our links dangling. */
function leadsToProgram(path: string, executable: string): boolean {
  if (!fs.existsSync(path)) return true;
  const real = fs.realpathSync(path);
  return real === executable || isOurs(real, executable);
}

function linkTarget(path: string): string | null {
  return lstatOrNull(path)?.isSymbolicLink() === true ? fs.readlinkSync(path) : null;
}

function exists(path: string): boolean {
  return lstatOrNull(path) !== null;
}

function readPlaced(): readonly string[] {
  try {
    const text = textOrNull(PLACED_FILE);
    if (text === null) return [];
    const sums: unknown = JSON.parse(text);
    if (Array.isArray(sums)) return sums.filter((sum) => typeof sum === 'string');
  } catch (error) {
    throw new AppError('STORE', `${PLACED_FILE} can't be read: remove it and try again`, error);
  }
  throw new AppError('STORE', `${PLACED_FILE} is not a list: remove it and try again`);
}

/**
 * Records entries before the program is installed. After a crash in between, our own file would otherwise count as
 * foreign.
 */
function notePlaced(entries: readonly string[]): void {
  const earlier = readPlaced().filter((known) => !entries.includes(known));
  const placed = [...earlier, ...entries].slice(-MOST_PLACED);
  fs.mkdirSync(STATE_DIRECTORY, { recursive: true, mode: 0o700 });
  const temporary = `${PLACED_FILE}.new`;
  fs.rmSync(temporary, { force: true });
  const content = `${JSON.stringify(placed)}\n`;
  replaceFile({ path: PLACED_FILE, content, mode: 0o600, temporary });
}
