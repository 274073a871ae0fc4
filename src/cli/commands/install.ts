// `install` and `uninstall`: the program in an agent's directory of active responses, with all that it needs, and its removal.
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
import { ROTATION_FILE, stepsToClear, stepsToFurnish, stepsToRotate } from '../install/places.ts';
import {
  findResponses,
  installedElsewhere,
  stepsToPlace,
  stepsToRemove,
  type Placement,
} from '../install/programs.ts';
import { stepsToSchedule, stepsToUnschedule } from '../install/schedule.ts';
import { NOTHING_TO_DO, reachAll, reachEach, stepToRemove } from '../install/steps.ts';
import { enterForChange, type Person } from '../session.ts';

/** It gets into a unit file and a crontab, where other characters mean something. */
const HOME = textOption('DIRECTORY', {
  expected: 'an absolute path of letters, digits, dots, dashes and underscores',
  read: (text) => /^((?:\/(?!\.\.(?:\/|$))[A-Za-z0-9._-]+)+)\/*$/.exec(text)?.[1],
});

/** As execd's commands are named; one that begins with a dash would be an option. */
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
      'what the manager calls it, with commas between (default: firewall-drop,firewall-drop.sh and, with Wazuh 5, block-ip)',
  },
  ...DRY_RUN,
} as const;

export const install = defineCommand({
  name: 'install',
  summary: 'Install this program in place of the active response of an agent',
  details:
    'Copies itself to active-response/bin in the home of the agent, for root and the group of the agent, mode 0750; further names become links to the first. What was there is kept beside it, under the ending .replaced. Makes the configuration with every key explained, the directory of the state and the log file where they are missing, has logrotate (where it is installed) rotate our own log, and has systemd (or cron, where there is no systemd) call expire every minute and restore at boot. Run again it changes nothing, and after an upgrade of the agent that overwrote the program it puts it back.',
  options: {
    ...PLACE_OPTIONS,
    link: {
      kind: 'flag',
      describe: 'links to the program where it is in place of a copy, as the packages have it',
    },
  },
  examples: [
    ['install --dry-run', 'what would be done here?'],
    ['install', 'do it'],
    ['install --name firewall-drop,block-ip', 'for a manager that calls it block-ip as well'],
  ],
  exits: { 0: 'everything is in place', 75: null, 78: 'there is no agent to install into' },
  run(_words, options, person) {
    // Links for further names are no business of the package.
    if (!options.link) refusePackaged('reinstall');
    if (!options['dry-run']) waitForOthers();
    const placement = readPlacement(options, options.link);
    const { home, directory } = placement;
    const program = options.link
      ? realpathSync(process.execPath)
      : `${directory}/${placement.names[0] ?? ''}`;
    const schedule = stepsToSchedule({ home, program });
    const rotation = stepsToRotate({ home, program });
    const steps = [...stepsToPlace(placement), ...stepsToFurnish(home), ...rotation];
    reachAll([...steps, ...schedule], options['dry-run'], person);
    if (schedule.length === 0) {
      person.complain(
        'neither systemd nor cron was found: keep firewall-drop expire --watch running, or a ban ends only with the next alert',
      );
    }
    return 0;
  },
});

export const uninstall = defineCommand({
  name: 'uninstall',
  summary: 'Remove this program, and restore what it replaced',
  details:
    'Releases every block first, since nobody would do so later; if that fails, nothing else is done. Then undoes what install did. The logs stay, and so do the history and a configuration that was edited, unless --purge is given. Where the program is installed in the home of another agent too, only its names in this home go: the bans and what calls it stay.',
  options: {
    ...PLACE_OPTIONS,
    purge: { kind: 'flag', describe: 'also the state, the history and the configuration' },
  },
  examples: [
    ['uninstall --dry-run', 'what would go?'],
    ['uninstall --purge', 'leave only the logs'],
  ],
  exits: {
    0: 'everything is as it was before',
    69: 'not all was released, and nothing was removed',
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
      person.print(`${other.program} stays, with the bans and all that it needs`);
      const shared = [...stepsToSchedule(other), ...stepsToRotate(other)];
      reachAll([...shared, ...stepsToRemove(placement)], options['dry-run'], person);
      return 0;
    }
    await removeAll(placement, options, person);
    return 0;
  },
});

/** An alert that is under way while its program goes may still block: that is released too, before the state may go. */
async function removeAll(
  placement: Placement,
  { 'dry-run': dryRun, purge }: { readonly 'dry-run': boolean; readonly purge: boolean },
  person: Person,
): Promise<void> {
  if (!dryRun) await releaseEverything(person);
  const program = statOrNull(`${placement.directory}/${placement.names[0] ?? ''}`);
  const steps = [...stepsToUnschedule(), stepToRemove(ROTATION_FILE), ...stepsToRemove(placement)];
  const removed = reachEach(steps, dryRun, person);
  if (!dryRun && removed > 0 && program !== null) {
    awaitAlerts(program);
    await releaseEverything(person);
  }
  const cleared = reachEach(stepsToClear(purge), dryRun, person);
  if (removed + cleared === 0) person.print(NOTHING_TO_DO);
}

/** As long as a slow disk may take for the executable. */
const LONGEST_INSTALL_MS = 60_000;

/** Two at once would take each other's half-written files for their own, and each other's program for the agent's. */
function waitForOthers(): void {
  const trouble = takeCommandLock(LOCK_DIRECTORY, 'install', LONGEST_INSTALL_MS);
  if (trouble !== null) throw trouble;
}

/** As long as `limits.total_seconds` may be. */
const LONGEST_ALERT_MS = 120_000;
const LOOK_EVERY_MS = 50;

function awaitAlerts(program: Stats): void {
  const isAlert = ([, verb]: readonly string[]): boolean => verb === undefined || verb === 'add';
  const deadline = deadlineIn(LONGEST_ALERT_MS);
  while (othersRunning(program).some(isAlert) && deadline.remainingMs() > 0) sleep(LOOK_EVERY_MS);
}

/** Throws `USAGE` where a package manager owns the program, with the command for it. */
function refusePackaged(wish: 'reinstall' | 'remove'): void {
  const packageManager = owningPackageManager();
  if (packageManager === null) return;
  const command = PACKAGE_COMMANDS[packageManager][wish];
  throw new AppError(
    'USAGE',
    `the package wazuh-firewall-drop owns the program on this host; use instead: ${command}`,
  );
}

function readPlacement(
  { home, name }: { readonly home: string; readonly name: readonly string[] | undefined },
  link: boolean,
): Placement {
  return { ...findResponses(home), names: name ?? namesFor(home), link };
}

/** Wazuh 5 calls its own program block-ip. */
function namesFor(home: string): string[] {
  const usual = ['firewall-drop', 'firewall-drop.sh'];
  return /^v?5\./.test(agentVersion(home)) ? [...usual, 'block-ip'] : usual;
}

async function releaseEverything(person: Person): Promise<void> {
  const context = enterForChange(person);
  const { released } = await releaseAll(null, person.name, context);
  if (released.length > 0) person.print(`done: ${released.length} released`);
  context.close();
}
