// The installation steps that make systemd, or cron if there is no systemd, call `expire` every minute and `restore` at
// boot.
import { existsSync } from 'node:fs';
import { AppError } from '../../model/errors.ts';
import { run } from '../../system/exec.ts';
import { lstatOrNull } from '../../system/paths.ts';
import { SYSTEMD_RUNS } from '../../system/procfs.ts';
import { textFor, unitNames, type Installed } from '../packaged.ts';
import { stepToRemove, stepToWrite, type Step } from './steps.ts';

const UNITS = '/etc/systemd/system';
/** The directories of packaged units, which only need to be enabled. */
const PACKAGED_UNITS = ['/usr/lib/systemd/system', '/lib/systemd/system'];
const CRON = '/etc/cron.d';
const CRON_FILE = `${CRON}/firewall-drop`;
const SYSTEMCTL_TIMEOUT_MS = 30_000;

/** The units to enable, with the targets that want them. */
const ENABLED = [
  ['firewall-drop-expire.timer', 'timers.target'],
  ['firewall-drop-restore.service', 'multi-user.target'],
] as const;

/** Returns no steps if there is neither systemd nor cron. */
export function stepsToSchedule(installed: Installed): Step[] {
  if (existsSync(SYSTEMD_RUNS)) return [...unitFiles(installed), ...ENABLED.map(stepToEnable)];
  if (existsSync(CRON)) return [stepToCall(CRON_FILE, 'firewall-drop.cron', installed)];
  return [];
}

export function stepsToUnschedule(): Step[] {
  const units = unitNames().map((name) => reloading(stepToRemove(`${UNITS}/${name}`)));
  return [...ENABLED.map(stepToDisable), ...units, stepToRemove(CRON_FILE)];
}

function unitFiles(installed: Installed): Step[] {
  return unitNames()
    .filter((name) => !PACKAGED_UNITS.some((directory) => existsSync(`${directory}/${name}`)))
    .map((name) => reloading(stepToCall(`${UNITS}/${name}`, name, installed)));
}

function stepToCall(path: string, packaged: string, installed: Installed): Step {
  return stepToWrite(path, textFor(packaged, installed), `${path} calls the program`);
}

/** Adds to a step that systemd reloads its units. */
function reloading(step: Step): Step {
  return {
    ...step,
    reach: () => {
      step.reach();
      if (existsSync(SYSTEMD_RUNS)) systemctl(['daemon-reload']);
    },
  };
}

function wantsLink(unit: string, target: string): string {
  return `${UNITS}/${target}.wants/${unit}`;
}

function stepToEnable([unit, target]: (typeof ENABLED)[number]): Step {
  return {
    state: `${unit} is enabled`,
    // A removed package leaves a dangling link.
    holds: () => existsSync(wantsLink(unit, target)),
    reach: () => {
      // Start the timer now. The unit that restores bans runs only at boot.
      systemctl(unit.endsWith('.timer') ? ['enable', '--now', unit] : ['enable', unit]);
    },
  };
}

function stepToDisable([unit, target]: (typeof ENABLED)[number]): Step {
  return {
    state: `${unit} is disabled`,
    holds: () => lstatOrNull(wantsLink(unit, target)) === null,
    reach: () => systemctl(['disable', '--now', unit]),
  };
}

function systemctl(args: readonly string[]): void {
  const command = { program: 'systemctl', args, input: '' };
  const { status, stderr, trouble } = run(command, SYSTEMCTL_TIMEOUT_MS);
  if (status === 0) return;
  const why = trouble === '' ? `status ${status ?? 'none'}` : trouble;
  throw new AppError('FILE', `systemctl ${args.join(' ')} failed (${why}): ${stderr.trim()}`);
}
