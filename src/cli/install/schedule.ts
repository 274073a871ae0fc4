// What calls the program where no alert does: systemd's timer, or cron where there is no systemd.
import { existsSync } from 'node:fs';
import { AppError } from '../../model/errors.ts';
import { run } from '../../system/exec.ts';
import { lstatOrNull } from '../../system/paths.ts';
import { SYSTEMD_RUNS } from '../../system/services.ts';
import { textFor, unitNames, type Installed } from '../packaged.ts';
import { stepToRemove, stepToWrite, type Step } from './steps.ts';

const UNITS = '/etc/systemd/system';
/** Where a package's units lie; those need only be enabled. */
const PACKAGED_UNITS = ['/usr/lib/systemd/system', '/lib/systemd/system'];
const CRON = '/etc/cron.d';
const CRON_FILE = `${CRON}/firewall-drop`;
const SYSTEMCTL_TIMEOUT_MS = 30_000;

/** Each unit that is enabled, and the target that then wants it. */
const ENABLED = [
  ['firewall-drop-expire.timer', 'timers.target'],
  ['firewall-drop-restore.service', 'multi-user.target'],
] as const;

/** Empty where neither systemd nor cron is there. */
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

/** systemd reads its units again. */
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
    // A package that was removed leaves a link to nothing.
    holds: () => existsSync(wantsLink(unit, target)),
    reach: () => {
      // The timer ticks from now on; what restores after a boot has nothing to do today.
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
