// Checks whether something ends bans in time, restores them after a boot, and synchronises the clock.
import { LAST_EXPIRE } from '../../bans/expire.ts';
import { entriesOf, realPathOf, statOrNull, textOrNull } from '../../system/paths.ts';
import { SYSTEMD_RUNS } from '../../system/procfs.ts';
import { formatDuration, isoTime, shortTime } from '../output/time.ts';
import { ok, problem, warning, type Finding, type Scene } from './check.ts';

const EXPIRE_TIMER = 'firewall-drop-expire.timer';
const RESTORE_UNIT = 'firewall-drop-restore.service';
const SYSTEMD_DIRECTORIES: readonly string[] = ['/etc/systemd/system', '/run/systemd/system'];
const CRON_FILES: readonly string[] = [
  '/etc/crontab',
  '/var/spool/cron/crontabs/root',
  '/var/spool/cron/root',
];
/** The longest time since the last `expire`, which runs every minute, before it counts as not running. */
const LONGEST_SILENCE_SECONDS = 300;

export function timer({ context, processes }: Scene): Finding {
  const last = Number(context.store.metadata.get(LAST_EXPIRE) ?? Number.NaN);
  const isWatched = processes.some(({ args }) => {
    return args.includes('expire') && args.includes('--watch');
  });
  const callers = [
    ...unitsNamed(EXPIRE_TIMER),
    ...cronFilesWith('expire'),
    ...(isWatched ? ['expire --watch'] : []),
  ];
  return evaluateTimer(callers, Number.isFinite(last) ? (context.now() - last) / 1000 : null);
}

/** `silenceSeconds` is the time since the last `expire`; null if there was none. */
export function evaluateTimer(callers: readonly string[], silenceSeconds: number | null): Finding {
  const lastRun =
    silenceSeconds === null ? 'never' : `${formatDuration(Math.max(0, silenceSeconds))} ago`;
  if (callers.length === 0) {
    return warning(
      `nothing calls firewall-drop expire (last run: ${lastRun}): without alerts, bans end late`,
      `run firewall-drop install, which sets up systemd or cron; with a package: systemctl enable --now ${EXPIRE_TIMER}`,
    );
  }
  const who = callers.join(', ');
  if (silenceSeconds === null || silenceSeconds > LONGEST_SILENCE_SECONDS) {
    return warning(
      `${who} should call firewall-drop expire every minute, but its last run was: ${lastRun}`,
      `wait a minute after an installation; otherwise systemctl status ${EXPIRE_TIMER}, or check that cron is running`,
    );
  }
  return ok(`${who}, last run ${lastRun}`);
}

export function boot(): Finding {
  const callers = [...unitsNamed(RESTORE_UNIT), ...cronFilesWith('restore')];
  if (callers.length > 0) return ok(`bans are restored by ${callers.join(', ')}`);
  return warning(
    'nothing calls firewall-drop restore after a boot: bans are then in the state but not in the kernel',
    `run firewall-drop install, which sets up systemd or cron; with a package: systemctl enable ${RESTORE_UNIT}`,
  );
}

/**
 * Returns the unit if it is enabled: it has a link in a `.wants` directory, in /run for a runtime unit, and is not
 * masked.
 */
function unitsNamed(unit: string): string[] {
  const isMasked = SYSTEMD_DIRECTORIES.some(
    (each) => realPathOf(`${each}/${unit}`) === '/dev/null',
  );
  if (isMasked) return [];
  const wanted = SYSTEMD_DIRECTORIES.flatMap((directory) => {
    return entriesOf(directory)
      .filter((entry) => entry.endsWith('.wants'))
      .map((entry) => `${directory}/${entry}`);
  });
  return wanted.some((directory) => entriesOf(directory).includes(unit)) ? [unit] : [];
}

/** Returns the cron files that call the command. If systemd runs, lines that test for it, as ours do, are ignored. */
function cronFilesWith(word: string): string[] {
  const files = [...entriesOf('/etc/cron.d').map((name) => `/etc/cron.d/${name}`), ...CRON_FILES];
  const idle = statOrNull(SYSTEMD_RUNS) === null ? '' : `(?!.*${SYSTEMD_RUNS})`;
  const line = new RegExp(String.raw`^${idle}[^#\n]*\bfirewall-drop ${word}\b`, 'm');
  return files.filter((file) => line.test(textOrNull(file) ?? ''));
}

/** The earliest plausible time: this program did not exist before. */
const EARLIEST_MS = Date.UTC(2026, 0, 1);
const TIME_SERVICES: readonly string[] = [
  'systemd-timesyn',
  'chronyd',
  'ntpd',
  'ntpsec',
  'openntpd',
];

export function clock({ context, processes }: Scene): Finding {
  const nowMs = context.now();
  const now = `${shortTime(nowMs)} UTC`;
  const fix = 'set the clock, and run chrony or systemd-timesyncd';
  if (nowMs < EARLIEST_MS) return problem(`the clock is wrong: ${now}`, fix);
  const [latest] = context.store.history.find({ limit: 1 });
  if (latest !== undefined && latest.atMs > nowMs) {
    const what = `${now} is before the last recorded event (${isoTime(latest.atMs)}): the clock was set back`;
    return warning(what, fix);
  }
  const service = processes.find(({ name }) => TIME_SERVICES.includes(name));
  const how = service === undefined ? 'no time service found' : `synchronised by ${service.name}`;
  return ok(`${now}, ${how}`);
}
