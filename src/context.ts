// Puts the parts together once for all doors: configuration, books, log, firewall, and who must never be blocked.
import type { Address } from './model/address.ts';
import { arrangeBackend, isFree } from './bans/select-backend.ts';
import { followClock } from './bans/clock-shift.ts';
import { forgetConnections } from './bans/connections.ts';
import { expireDue } from './bans/expire.ts';
import { groupPolicyFile, readGroupPolicy, type GroupPolicy } from './policy/group-policy.ts';
import { findProtection, type ProtectedEntry } from './policy/protected.ts';
import { MAKER_FACT, otherHolder, type MoveTools } from './bans/migrate.ts';
import { claimNamespace } from './bans/namespace.ts';
import { releaseProtected } from './bans/protected.ts';
import { recover } from './bans/recover.ts';
import type { BanContext } from './bans/context.ts';
import { readConfig } from './config/read.ts';
import type { Config } from './config/schema.ts';
import { DEFAULT_CONFIG } from './config/values.ts';
import { Diagnostics } from './diagnostics.ts';
import { describeError, type AppError } from './model/errors.ts';
import { createFirewall, type Firewall } from './firewall/apply.ts';
import { chooseBackend, createBackend, type BackendName, type Choice } from './firewall/select.ts';
import { planCut } from './firewall/conntrack.ts';
import { createSwitchableFirewall, type SwitchableFirewall } from './firewall/switch.ts';
import { readClock, steadyClock } from './system/clock.ts';
import { step } from './system/fault.ts';
import { findProgram, run, type Command } from './system/exec.ts';
import { findWhereabouts, inhabitantOf } from './system/namespaces.ts';
import { isServiceActive } from './system/services.ts';
import { deadlineIn, sleep, type Deadline } from './system/wait.ts';
import { releaseWriterLock, takeWriterLock } from './state/lock.ts';
import { Store } from './state/store.ts';
import type { AgentSettings, ConfiguredTimeout } from './wazuh/agent-config.ts';
import { readSettings, readTimeouts } from './wazuh/agent-files.ts';
import type { Place } from './wazuh/home.ts';
import { logFormat } from './wazuh/log-format.ts';
import { ResponseLogFile } from './wazuh/response-log.ts';
import { collectProtected } from './policy/collect.ts';

export const STATE_DIRECTORY = '/var/lib/firewall-drop';
export const LOCK_DIRECTORY = '/run/firewall-drop';
/** Changes that the state could not take: like plain rules, they need not survive a boot. */
export const UNSAVED = `${LOCK_DIRECTORY}/unsaved`;
/** Nobody types a command and waits longer than this for it. */
const PATIENCE_SECONDS = 600;
/** The part of an alert's time that completing what others began may take. */
const RECOVERY_SHARE = 0.25;

export interface ContextOptions {
  readonly place: Place;
  /** A person who watches may wait and is told of trouble; execd may not be made to wait and listens to nothing. */
  readonly interactive: boolean;
  /** Hears of trouble that stops nothing; our own log has it in any case. */
  readonly onTrouble: (message: string) => void;
  /** Nothing is written: neither state nor logs. */
  readonly readOnly?: boolean;
  /** Hears how far long work has come. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** Everything a door needs. What costs something is found out when first asked for. */
export interface Context extends BanContext {
  readonly place: Place;
  readonly config: Config;
  readonly diagnostics: Diagnostics;
  readonly responseLog: ResponseLogFile;
  readonly deadline: Deadline;
  /** From ar.conf of the agent in whose home we are. */
  timeouts(): readonly ConfiguredTimeout[];
  /** From ossec.conf of the same. */
  settings(): AgentSettings;
  protectedEntries(): readonly ProtectedEntry[];
  /** What the manager sends to this agent's group. */
  groupPolicy(): GroupPolicy;
  /** Why an address must not be blocked, or null. Asks for as little as the answer takes. */
  protectionOf(address: Address): ProtectedEntry | null;
  /** Null when the writer lock was taken, otherwise why not. Throws where the state is that of another network namespace. */
  lock(): AppError | null;
  readonly firewall: SwitchableFirewall;
  readonly isInstalled: (program: string) => boolean;
  /** What `cutConnections` would run; nothing where that is not wished. */
  planCuts(addresses: readonly Address[]): Command[];
  /** Which backend is in use, and which is to be. */
  choice(): Choice;
  /** Before the work at hand: follows the clock and finishes what an earlier run left. Trouble is said, not thrown. */
  settle(): void;
  /** Moves what is blocked where it is to be, with so many more about to come. Trouble is said, not thrown. */
  arrange(coming?: number): void;
  /** After it: releases what is due, and arranges. Trouble is said, not thrown. */
  expire(): void;
  /** For a process that stays: lets go of lock and books. */
  close(): void;
}

export function createContext({
  place,
  interactive,
  onTrouble,
  onProgress,
  readOnly = false,
}: ContextOptions): Context {
  let config = DEFAULT_CONFIG;
  const diagnostics = new Diagnostics({
    path: `${place.home}/logs/firewall-drop.log`,
    program: place.name,
    level: () => config.log.level,
  });
  const warn = (message: string): void => {
    if (!readOnly) diagnostics.warn(message);
    onTrouble(message);
  };
  const directory = STATE_DIRECTORY;
  const store = new Store(
    { directory, readOnly, mayRepair: false, nowMs: Date.now(), unsaved: UNSAVED },
    warn,
  );
  config = readConfig({ store, warn, remind: onTrouble, mayWait: interactive });
  const totalSeconds = interactive ? PATIENCE_SECONDS : config.limits.totalSeconds;
  // The time that start-up took is execd's time as well; a person's process may be old and open its second context.
  const spentSeconds = interactive ? 0 : process.uptime();
  const deadline = deadlineIn((totalSeconds - spentSeconds) * 1000);
  const responseLog = new ResponseLogFile({
    home: place.home,
    format: once(() => logFormat(place, config)),
    now: Date.now,
    onTrouble: (error) => {
      warn(error.message);
    },
  });
  const choice = (): Choice => choose(config, store);
  const openBackend = (name: BackendName): Firewall => openFirewall(config, name, store, deadline);
  const firewall = createSwitchableFirewall(openBackend, choice().name);
  // A clock that is set during a run is followed by the next one: half of this run's times would be by the new one.
  const now = steadyClock();
  const tools: BanContext = {
    store,
    firewall,
    responseLog,
    now,
    warn,
    countsOffences: config.escalation.timeouts.length > 0,
    cutConnections: (addresses) => {
      const { killConnections, programTimeoutSeconds } = config.firewall;
      const cutting = { store, warn, isInstalled, run, deadline, programTimeoutSeconds };
      if (killConnections) forgetConnections(addresses, cutting);
    },
    onProgress: onProgress ?? (() => undefined),
  };
  const moveTools: MoveTools = { ...tools, firewall, isInstalled };
  /** Only who has the lock moves anything. */
  let locked = false;
  const arrange = (coming = 0): void => {
    if (!locked) return;
    attempt('what is blocked could not be moved to another backend', tools, () => {
      arrangeBackend(
        {
          choice: choice(),
          promoteAt: config.firewall.promoteAt,
          losesRules: isServiceActive('firewalld'),
          coming,
          deadline: interactive ? null : deadline,
          tell: (message) => {
            diagnostics.warn(message);
          },
        },
        moveTools,
      );
    });
  };
  const settings = once(() => readSettings(place.home, tools));
  const groupPolicy = once(() => readGroupPolicy(place.home, tools));
  const sources = {
    config,
    settings,
    groupPolicy,
    groupFile: groupPolicyFile(place.home),
    store,
    run,
    warn,
    mayWait: interactive,
  };
  let known: readonly ProtectedEntry[] = [];
  const protectedEntries = once(() => (known = collectProtected(sources)));
  return {
    ...tools,
    place,
    config,
    diagnostics,
    responseLog,
    deadline,
    settings,
    timeouts: once(() => readTimeouts(place.home, tools)),
    protectedEntries,
    groupPolicy,
    protectionOf: (address) => {
      known = collectProtected(sources, address.family);
      const found = findProtection(address, known);
      return found && (findProtection(address, protectedEntries()) ?? found);
    },
    firewall,
    isInstalled,
    planCuts: (addresses) => (config.firewall.killConnections ? planCut(addresses) : []),
    choice,
    lock: () => {
      // Names are resolved before alerts have to wait for this lock.
      if (interactive) protectedEntries();
      const trouble = takeLock(store, config, deadline);
      locked = trouble === null;
      // Whoever had the lock before may have moved everything meanwhile.
      if (locked) store.metadata.reload();
      const news = claimNamespace({ store, here: findWhereabouts(), inhabitantOf });
      if (news !== '') warn(news);
      const { name } = choice();
      firewall.use(name, otherHolder(name, moveTools));
      return trouble;
    },
    settle: () => {
      step('settle: begun');
      if (!store.metadata.get(MAKER_FACT)) store.metadata.set(MAKER_FACT, firewall.backendName);
      followClock(store, readClock(now()));
      step('settle: clock followed');
      // An alert comes first, and what can be had for nothing before it.
      if (interactive || isFree(choice(), firewall, store)) arrange();
      attempt('what an interrupted run began could not be completed', tools, () => {
        // One change that can't be completed must not take an alert all of its time, again and again.
        const share = interactive ? {} : { withinMs: deadline.remainingMs() * RECOVERY_SHARE };
        recover(tools, { protectedEntries, ...share });
      });
      step('settle: done');
    },
    arrange,
    expire: () => {
      attempt('blocks whose time is over could not be released', tools, expireDue);
      // Where this run had to ask who is protected.
      attempt('protected addresses could not be released', tools, () => {
        releaseProtected(known, tools);
      });
      arrange();
      store.metadata.flush();
      step('expire: done');
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

function attempt(what: string, tools: BanContext, work: (tools: BanContext) => void): void {
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

function isInstalled(program: string): boolean {
  return findProgram(program) !== null;
}

function choose({ firewall }: Config, store: Store): Choice {
  return chooseBackend(firewall, {
    maker: store.metadata.get(MAKER_FACT),
    hasBans: () => store.bans.count() > 0,
    isInstalled,
  });
}

function openFirewall(
  { firewall }: Config,
  name: BackendName,
  store: Store,
  deadline: Deadline,
): Firewall {
  return createFirewall({
    backend: createBackend(name, firewall),
    run,
    sleep,
    deadline,
    programTimeoutSeconds: firewall.programTimeoutSeconds,
    extras: (family) => (store.metadata.getJson(`extras ${family}`) ?? []) as string[],
    noteExtras: (family, extras) => {
      store.metadata.set(`extras ${family}`, JSON.stringify(extras));
    },
  });
}
