// `install` and `uninstall`: install the program as an active response of an agent, with everything it needs, and
// remove it.
import { realpathSync, type Stats } from 'node:fs';
import { LOCK_DIRECTORY } from '../../bans/run.ts';
import { AppError } from '../../model/errors.ts';
import { takeCommandLock } from '../../state/lock.ts';
import { statOrNull } from '../../system/paths.ts';
import { othersRunning } from '../../system/procfs.ts';
import { deadlineIn, sleep } from '../../system/wait.ts';
import { defineCommand, DRY_RUN, textOption } from '../command.ts';
import { agentVersion } from '../doctor/agent.ts';
import { releaseAll } from '../in-parts.ts';
import { owningPackageManager, PACKAGE_COMMANDS } from '../packaged.ts';
import { ROTATION_FILE, stepsToClear, stepsToPrepare, stepsToRotate } from '../install/places.ts';
import {
  findResponses,
  installedElsewhere,
  stepsToPlace,
  stepsToRemove,
  type Placement,
} from '../install/programs.ts';
import { stepsToSchedule, stepsToUnschedule } from '../install/schedule.ts';
import { reachAll, stepToRemove } from '../install/steps.ts';
import { enterForChange, type Person } from '../session.ts';

/** Restricted to characters that have no special meaning in a unit file or a crontab. */
const HOME = textOption('DIRECTORY', {
  expected: 'an absolute path of letters, digits, dots, dashes and underscores',
  read: (text) => /^((?:\/(?!\.\.(?:\/|$))[A-Za-z0-9._-]+)+)\/*$/.exec(text)?.[1],
});

/** The name of an execd command. It must not begin with a dash, which would make it an option. */
const RESPONSE_NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$/;
const RESPONSE_NAMES = textOption('NAMES', {
  expected: 'a list of names of letters, digits, dots, dashes and underscores',
  read: (text) => {
    const names = [...new Set(text.split(','))];
    return names.every((name) => RESPONSE_NAME.test(name)) ? names : undefined;
  },
});

const PLACE_OPTIONS = {
  home: { ...HOME, default: '/var/ossec', describe: "the agent's home" },
  name: {
    ...RESPONSE_NAMES,
    describe:
      'the names by which the manager starts it, separated by commas (default: firewall-drop,firewall-drop.sh and, with Wazuh 5, block-ip)',
  },
  ...DRY_RUN,
} as const;

export const install = defineCommand({
  name: 'install',
  summary: 'Install this program as the active response of an agent',
  details:
    "Copies itself to active-response/bin in the agent's home, owned by root and the agent's group, with mode 0750; further names become symbolic links to the first. A file that it replaces is kept with the suffix .replaced. Creates the configuration file, the state directory and the log if they are missing, sets up logrotate (if installed) for firewall-drop.log, and sets up systemd (or cron, if there is no systemd) to call expire every minute and restore at boot. Running it again changes nothing, unless an upgrade of the agent has overwritten the program: then it is installed again.",
  options: {
    ...PLACE_OPTIONS,
    link: {
      kind: 'flag',
      describe: 'create symbolic links to this file instead of a copy, as the packages do',
    },
  },
  examples: [
    ['install --dry-run', 'show what would be done'],
    ['install', 'install into /var/ossec'],
    ['install --name firewall-drop,block-ip', 'for a manager that also starts block-ip'],
  ],
  exits: { 0: 'everything is in place', 75: null, 78: 'there is no agent to install into' },
  run(_words, options, person) {
    // Links under further names do not concern the package.
    if (!options.link) refusePackaged('reinstall');
    if (!options['dry-run']) waitForOthers();
    const placement = readPlacement(options, options.link);
    const { home, directory } = placement;
    const program = options.link
      ? realpathSync(process.execPath)
      : `${directory}/${placement.names[0] ?? ''}`;
    const schedule = stepsToSchedule({ home, program });
    const rotation = stepsToRotate({ home, program });
    const steps = [...stepsToPlace(placement), ...stepsToPrepare(home), ...rotation];
    const reached = reachAll([...steps, ...schedule], options['dry-run'], person);
    if (reached === 0) person.print('everything is in place already');
    if (schedule.length === 0) {
      person.complain(
        'neither systemd nor cron was found: keep firewall-drop expire --watch running; otherwise bans end only with the next alert',
      );
    }
    return 0;
  },
});

export const uninstall = defineCommand({
  name: 'uninstall',
  summary: 'Remove this program, and restore what it replaced',
  details:
    'First releases all bans, because nothing would do so later; if that fails, it stops. Then it undoes what install did. The logs stay; the history and an edited configuration stay unless --purge is given. If the program is also installed in the home of another agent, only its files in this home are removed; the bans and the timer stay.',
  options: {
    ...PLACE_OPTIONS,
    purge: { kind: 'flag', describe: 'also remove the state, the history and the configuration' },
  },
  examples: [
    ['uninstall --dry-run', 'show what would be removed'],
    ['uninstall --purge', 'remove everything but the logs'],
  ],
  exits: {
    0: 'the program is removed',
    69: 'not everything could be released; nothing was removed',
    75: null,
    78: 'there is no agent to remove it from',
    130: null,
  },
  async run(_words, options, person) {
    refusePackaged('remove');
    if (!options['dry-run']) waitForOthers();
    const placement = readPlacement(options, false);
    const other = installedElsewhere(placement);
    if (other !== null) {
      person.print(`${other.program} stays, with the bans and everything it needs`);
      const shared = [...stepsToSchedule(other), ...stepsToRotate(other)];
      const steps = [...shared, ...stepsToRemove(placement)];
      if (reachAll(steps, options['dry-run'], person) === 0) person.print(NOTHING_TO_REMOVE);
      return 0;
    }
    await removeAll(placement, options, person);
    return 0;
  },
});

/**
 * Releases everything a second time after the program is gone, because an alert that was in progress can still have
 * blocked.
 */
async function removeAll(
  placement: Placement,
  { 'dry-run': dryRun, purge }: { readonly 'dry-run': boolean; readonly purge: boolean },
  person: Person,
): Promise<void> {
  if (dryRun) announceRelease(person);
  else await releaseEverything(person);
  const program = statOrNull(`${placement.directory}/${placement.names[0] ?? ''}`);
  const steps = [...stepsToUnschedule(), stepToRemove(ROTATION_FILE), ...stepsToRemove(placement)];
  const removed = reachAll(steps, dryRun, person);
  if (!dryRun && removed > 0 && program !== null) {
    awaitAlerts(program);
    await releaseEverything(person);
  }
  const cleared = reachAll(stepsToClear(purge), dryRun, person);
  if (removed + cleared === 0) person.print(NOTHING_TO_REMOVE);
}

const NOTHING_TO_REMOVE = 'nothing to remove';

/** The longest time that another install takes to copy the executable to a slow disk. */
const LONGEST_INSTALL_MS = 60_000;

/**
 * Serialises installs: two at once would mistake each other's partial files for their own, and each other's program for
 * the agent's.
 */
function waitForOthers(): void {
  const trouble = takeCommandLock(LOCK_DIRECTORY, 'install', LONGEST_INSTALL_MS);
  if (trouble !== null) throw trouble;
}

/** The largest value of `limits.total_seconds`. */
const LONGEST_ALERT_MS = 120_000;
const LOOK_EVERY_MS = 50;

function awaitAlerts(program: Stats): void {
  const isAlert = ([, verb]: readonly string[]): boolean => verb === undefined || verb === 'add';
  const deadline = deadlineIn(LONGEST_ALERT_MS);
  while (othersRunning(program).some(isAlert) && deadline.remainingMs() > 0) sleep(LOOK_EVERY_MS);
}

/** Throws `USAGE`, with the command to use instead, if a package manager owns the program. */
function refusePackaged(wish: 'reinstall' | 'remove'): void {
  const packageManager = owningPackageManager();
  if (packageManager === null) return;
  const command = PACKAGE_COMMANDS[packageManager][wish];
  throw new AppError(
    'USAGE',
    `the program on this host belongs to the package wazuh-firewall-drop; use instead: ${command}`,
  );
}

function readPlacement(
  { home, name }: { readonly home: string; readonly name: readonly string[] | undefined },
  link: boolean,
): Placement {
  return { ...findResponses(home), names: name ?? namesFor(home), link };
}

/** Returns the default names. The program of Wazuh 5 is called block-ip. */
function namesFor(home: string): string[] {
  const usual = ['firewall-drop', 'firewall-drop.sh'];
  return /^v?5\./.test(agentVersion(home)) ? [...usual, 'block-ip'] : usual;
}

function announceRelease({ createContext, print }: Person): void {
  const context = createContext({ readOnly: true });
  const bans = context.store.bans.count();
  if (bans > 0) print(`would be done: ${bans} released`);
  context.close();
}

async function releaseEverything(person: Person): Promise<void> {
  const context = enterForChange(person);
  const { released } = await releaseAll(null, person.name, context);
  if (released.length > 0) person.print(`done: ${released.length} released`);
  context.close();
}
