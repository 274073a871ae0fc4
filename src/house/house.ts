// Puts the parts together once for all doors: configuration, books, log, firewall, and who must never be blocked.
import { followClock } from '../ban/clock.ts';
import { expireDue } from '../ban/expire.ts';
import type { ProtectedEntry } from '../ban/protect.ts';
import { finishInterrupted, MAKER_FACT } from '../ban/reconcile.ts';
import type { Tools } from '../ban/tools.ts';
import { DEFAULT_CONFIG, type Config } from '../config.ts';
import { Diagnostics } from '../diagnostics.ts';
import { describeError, type AppError } from '../errors.ts';
import { createFirewall, type Firewall } from '../firewall/apply.ts';
import { chooseName, createBackend, type Choice } from '../firewall/choose.ts';
import { readClock } from '../os/clock.ts';
import { readRegularFile } from '../os/files.ts';
import { run } from '../os/run.ts';
import { deadlineIn, sleep, type Deadline } from '../os/wait.ts';
import { LARGEST_ZONE_FILE, readHostZone } from '../os/zone.ts';
import { releaseWriterLock, takeWriterLock } from '../store/lock.ts';
import { Store } from '../store/store.ts';
import type { AgentSettings, ConfiguredTimeout } from '../wazuh/agent.ts';
import { LogAnnouncer } from '../wazuh/announcer.ts';
import type { Place } from '../wazuh/home.ts';
import type { LogFormat } from '../wazuh/response-log.ts';
import { readConfig, readSettings, readTimeouts } from './files.ts';
import { collectProtected } from './protected.ts';

export const STATE_DIRECTORY = '/var/lib/firewall-drop';
const LOCK_DIRECTORY = '/run/firewall-drop';
/** Nobody types a command and waits longer than this for it. */
const PATIENCE_SECONDS = 600;

export interface HouseOptions {
  readonly place: Place;
  /** A person who watches may wait and is told of trouble; execd may not be made to wait and listens to nothing. */
  readonly patient: boolean;
  /** Hears of trouble that stops nothing; our own log has it in any case. */
  readonly onTrouble: (message: string) => void;
  /** Nothing is written: neither books nor logs. */
  readonly traceless?: boolean;
  /** Hears how far long work has come. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** Everything a door needs. What costs something is found out when first asked for. */
export interface House extends Tools {
  readonly place: Place;
  readonly config: Config;
  readonly diagnostics: Diagnostics;
  readonly announcer: LogAnnouncer;
  readonly deadline: Deadline;
  /** From ar.conf of the agent in whose home we are. */
  timeouts(): readonly ConfiguredTimeout[];
  /** From ossec.conf of the same. */
  settings(): AgentSettings;
  protectedEntries(): readonly ProtectedEntry[];
  /** Null when the writer lock was taken, otherwise why not. */
  lock(): AppError | null;
  /** Before the work at hand: follows the clock and finishes what an earlier run left. Trouble is said, not thrown. */
  settle(): void;
  /** After it: releases what is due. Trouble is said, not thrown. */
  expire(): void;
  /** For a process that stays: lets go of lock and books. */
  close(): void;
}

export function openHouse({
  place,
  patient,
  onTrouble,
  onProgress,
  traceless = false,
}: HouseOptions): House {
  let config = DEFAULT_CONFIG;
  const diagnostics = new Diagnostics({
    path: `${place.home}/logs/firewall-drop.log`,
    program: place.name,
    level: () => config.log.level,
  });
  const warn = (message: string): void => {
    if (!traceless) diagnostics.error(message);
    onTrouble(message);
  };
  const directory = traceless ? null : STATE_DIRECTORY;
  const store = new Store({ directory, mayRepair: false, nowMs: Date.now() }, warn);
  config = readConfig({ store, warn });
  const totalSeconds = patient ? PATIENCE_SECONDS : config.limits.totalSeconds;
  // The time that start-up took is execd's time as well; a person's process may be old and open its second house.
  const spentSeconds = patient ? 0 : process.uptime();
  const deadline = deadlineIn((totalSeconds - spentSeconds) * 1000);
  const announcer = new LogAnnouncer({
    home: place.home,
    format: once(() => logFormat(place, config)),
    now: Date.now,
    onTrouble: (error) => {
      warn(error.message);
    },
  });
  const choice = chooseBackend(config, store);
  if (choice.objection !== '') warn(choice.objection);
  const firewall = openFirewall(config, choice, store, deadline);
  const tools: Tools = {
    store,
    firewall,
    announcer,
    now: Date.now,
    warn,
    onProgress: onProgress ?? (() => undefined),
  };
  const settings = once(() => readSettings(place.home, tools));
  return {
    ...tools,
    place,
    config,
    diagnostics,
    announcer,
    deadline,
    settings,
    timeouts: once(() => readTimeouts(place.home, tools)),
    protectedEntries: once(() => {
      return collectProtected({ config, settings, store, warn, refreshNames: patient });
    }),
    lock: () => takeLock(store, config, deadline),
    settle: () => {
      followClock(store, readClock());
      attempt('what an earlier run began could not be finished', tools, finishInterrupted);
    },
    expire: () => {
      attempt('blocks whose time is over could not be released', tools, expireDue);
      store.flush();
    },
    close: () => {
      store.close();
      diagnostics.close();
      releaseWriterLock();
    },
  };
}

function once<T>(find: () => T): () => T {
  let found: { readonly value: T } | null = null;
  return () => (found ??= { value: find() }).value;
}

function attempt(what: string, tools: Tools, work: (tools: Tools) => void): void {
  try {
    work(tools);
  } catch (error) {
    tools.warn(`${what}: ${describeError(error)}`);
  }
}

function takeLock(store: Store, config: Config, deadline: Deadline): AppError | null {
  const waitMs = Math.min(config.limits.lockWaitSeconds * 1000, deadline.remainingMs());
  const trouble = takeWriterLock(LOCK_DIRECTORY, waitMs);
  if (trouble === null) store.allowRepair();
  return trouble;
}

function chooseBackend({ firewall }: Config, store: Store): Choice {
  const choice = chooseName(firewall, store.fact(MAKER_FACT), () => store.list().length > 0);
  if (choice.isMaker) store.setFact(MAKER_FACT, choice.name);
  return choice;
}

function openFirewall(
  { firewall }: Config,
  { name, isMaker }: Choice,
  store: Store,
  deadline: Deadline,
): Firewall {
  return createFirewall({
    backend: createBackend(name, firewall),
    booksAreItsOwn: isMaker,
    run,
    sleep,
    deadline,
    programTimeoutSeconds: firewall.programTimeoutSeconds,
    extras: (family) => (store.factJson(`extras ${family}`) ?? []) as string[],
    noteExtras: (family, extras) => {
      store.setFact(`extras ${family}`, JSON.stringify(extras));
    },
  });
}

function logFormat({ home, name }: Place, { log }: Config): LogFormat {
  return {
    kind: log.format,
    home,
    name,
    programName: log.programName ?? (name.endsWith('.sh') ? name : `${name}.sh`),
    zone: readHostZone({
      tz: process.env['TZ'],
      readFile: (path) => readRegularFile(path, LARGEST_ZONE_FILE),
    }),
  };
}
