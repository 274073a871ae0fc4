// The program under its names in an agent's directory of active responses, and what was there before it.
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

/** Where an agent's execd looks for what it starts. */
export interface Responses {
  readonly home: string;
  /** `HOME/active-response/bin`. */
  readonly directory: string;
  /** The agent's group, which may run what lies there: `wazuh` or `ossec`. */
  readonly gid: number;
}

/** Throws `NO_AGENT` where no agent is, or where others than root could exchange what its execd starts as root. */
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
      `others than root may write in ${directory}, and what lies there is run as root: chown root ${directory} && chmod go-w ${directory}`,
    );
  }
  return { home, directory, gid: stats.gid };
}

export interface Placement extends Responses {
  /** The first is the program; the others are links to it. */
  readonly names: readonly string[];
  /** Links to the executable where it is, as a package wants them, in place of a copy. */
  readonly link: boolean;
}

/** What was there before us lies beside us under this ending. */
const KEPT = '.replaced';
/** What takes our name once it is whole. */
const FRESH = '.new';
/** Checksums of the programs that we put anywhere, which distinguish an older one of ours from another program; and their paths. */
const PLACED_FILE = `${STATE_DIRECTORY}/placed.json`;
const MOST_PLACED = 50;

export function stepsToPlace(placement: Placement): Step[] {
  const { directory, gid, names } = placement;
  const executable = fs.realpathSync(process.execPath);
  return names.flatMap((name, index) => {
    const path = `${directory}/${name}`;
    const target = linkWanted(placement, index, executable);
    // Found out before anything changes: a link to what we replace is not ours either.
    const isOurLink = target !== null && linkTarget(path) === target && readPlaced().includes(path);
    const isFree = !isThere(path) || isOurLink || isOurs(path, executable);
    const keep = {
      state: `${path}${KEPT} keeps what was ${path}`,
      holds: () => isFree,
      reach: () => {
        fs.rmSync(path + KEPT, { force: true });
        // A second name first, so that at no moment execd finds nothing.
        fs.linkSync(path, path + KEPT);
      },
    };
    return [keep, target === null ? stepToCopy(path, executable, gid) : stepToLink(path, target)];
  });
}

/** Where the name at `index` shall lead; null: it is the program itself. */
function linkWanted({ names, link }: Placement, index: number, executable: string): string | null {
  if (link) return executable;
  return index === 0 ? null : (names[0] ?? null);
}

function stepToCopy(path: string, executable: string, gid: number): Step {
  return {
    state: `${path} is this program, for root and the agent's group`,
    holds: () => {
      const stats = lstatOrNull(path);
      const isFurnished = stats?.isFile() === true && stats.uid === 0 && stats.gid === gid;
      return isFurnished && modeText(stats) === '0750' && isSameFile(path, executable);
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

/** The program in the home of another agent on this host; null: there is none. */
export function installedElsewhere({ directory }: Responses): Installed | null {
  const executable = fs.realpathSync(process.execPath);
  const program = readPlaced().find((entry) => {
    const isElsewhere = isAbsolute(entry) && !isIn(directory, entry);
    return isElsewhere && isThere(entry) && isOurs(entry, executable);
  });
  return program === undefined ? null : { home: resolve(program, '../../..'), program };
}

/** Whether a path that was noted lies in a directory, which may have been named otherwise then: a home may be a link. */
function isIn(directory: string, noted: string): boolean {
  return isAbsolute(noted) && realPathOf(dirname(noted)) === realPathOf(directory);
}

/** Takes our names away again, also those that `placement` does not have, and gives back what they replaced. */
export function stepsToRemove({ directory, names: given }: Placement): Step[] {
  const executable = fs.realpathSync(process.execPath);
  const placed = readPlaced().filter((entry) => isIn(directory, entry));
  const names = new Set([...given, ...placed.map((path) => basename(path))]);
  return [...names].flatMap((name) => {
    const path = `${directory}/${name}`;
    const isOurLink = names.has(linkTarget(path) ?? '');
    const isStrangers = isThere(path) && !isOurLink && !isOurs(path, executable);
    const unfinished = stepToRemove(path + FRESH);
    if (!isThere(path + KEPT)) return isStrangers ? [unfinished] : [unfinished, stepToRemove(path)];
    if (!isStrangers) return [unfinished, stepToGiveBack(path)];
    const newer = `${path}${KEPT} is gone: ${path} is newer, and not ours`;
    return [unfinished, stepToRemove(path + KEPT, newer)];
  });
}

function stepToGiveBack(path: string): Step {
  return {
    state: `${path} is again what it was before`,
    holds: () => !isThere(path + KEPT),
    reach: () => {
      fs.renameSync(path + KEPT, path);
      // Two names of one file stay both: rename(2) then does nothing.
      fs.rmSync(path + KEPT, { force: true });
    },
  };
}

function isOurs(path: string, executable: string): boolean {
  if (fs.lstatSync(path).isSymbolicLink()) return leadsToUs(path, executable);
  if (!fs.statSync(path).isFile()) return false;
  if (isSameFile(path, executable)) return true;
  const placed = readPlaced();
  return placed.length > 0 && placed.includes(checksumOf(path));
}

/** By content. */
function isSameFile(path: string, other: string): boolean {
  return (
    fs.statSync(path).size === fs.statSync(other).size && checksumOf(path) === checksumOf(other)
  );
}

/** A link that leads nowhere is what an unpacked upgrade leaves of ours, and nobody else's use. */
function leadsToUs(path: string, executable: string): boolean {
  if (!fs.existsSync(path)) return true;
  const real = fs.realpathSync(path);
  return real === executable || isOurs(real, executable);
}

function linkTarget(path: string): string | null {
  return lstatOrNull(path)?.isSymbolicLink() === true ? fs.readlinkSync(path) : null;
}

function isThere(path: string): boolean {
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
  throw new AppError('STORE', `${PLACED_FILE} is no list: remove it and try again`);
}

/** Before the program is put there: else one that died in between would be kept as if it were not ours. */
function notePlaced(entries: readonly string[]): void {
  const earlier = readPlaced().filter((known) => !entries.includes(known));
  const placed = [...earlier, ...entries].slice(-MOST_PLACED);
  fs.mkdirSync(STATE_DIRECTORY, { recursive: true, mode: 0o700 });
  const temporary = `${PLACED_FILE}.new`;
  fs.rmSync(temporary, { force: true });
  const content = `${JSON.stringify(placed)}\n`;
  replaceFile({ path: PLACED_FILE, content, mode: 0o600, temporary });
}
