// Creates the dependencies of a command: configuration, state, firewall, logs, clock. Expensive ones are created on
// first use.
import { chooseActive, isInstalled, openFirewall } from './bans/active-backend.ts';
import type * as Conntrack from './firewall/conntrack.ts';
import type { BanContext } from './bans/context.ts';
import {
  beginRun,
  endRun,
  LOCK_DIRECTORY,
  migrate,
  recoverPending,
  type RunContext,
} from './bans/run.ts';
import { groupPolicyFile, readConfig, readGroupPolicy } from './config/read.ts';
import type { Config } from './config/schema.ts';
import { Diagnostics } from './diagnostics.ts';
import type { Address } from './model/address.ts';
import { findProtection, type ProtectedEntry, collectProtected } from './policy/protected.ts';
import { isWorkShared as isShared, releaseWriterLock } from './state/lock.ts';
import { Store } from './state/store.ts';
import { run } from './system/exec.ts';
import { deadlineIn, steadyClock, type Deadline } from './system/wait.ts';
import { readHostZone } from './system/zone.ts';
import { readSettings, readTimeouts } from './wazuh/agent-config.ts';
import type { Place } from './wazuh/invocation.ts';
import type { AlertContext } from './wazuh/respond.ts';
import type { LogFormat } from './wazuh/response-lines.ts';
import { ResponseLogFile } from './wazuh/response-log.ts';

export const STATE_DIRECTORY = '/var/lib/firewall-drop';
/** The file for changes that can't be written to the state. Like plain rules, they need not survive a boot. */
export const UNSAVED = `${LOCK_DIRECTORY}/unsaved`;
/** The time limit for a command of a person. */
const LONGEST_COMMAND_SECONDS = 600;

export interface ContextOptions {
  readonly place: Place;
  /** True if a person is waiting, who can wait long. execd must not wait. */
  readonly interactive: boolean;
  /** Reports problems that do not stop the command. They are also written to our own log. */
  readonly onTrouble: (message: string) => void;
  /** True if neither state nor logs may be written. */
  readonly readOnly?: boolean;
  readonly onProgress?: (done: number, total: number) => void;
}

export interface Context extends RunContext, AlertContext {
  readonly responseLog: ResponseLogFile;
  readonly diagnostics: Diagnostics;
  /**
   * Migrates all bans if that is due, given that `coming` more are about to be added. Reports failures instead of
   * throwing.
   */
  migrate(coming: number): void;
  /** Releases the lock and closes state and log. Only a long-running process needs to call it. */
  close(): void;
}

export function createContext(options: ContextOptions): Context {
  const { place, interactive } = options;
  const { diagnostics, warn } = openDiagnostics(options);
  const { store, config } = openState(options, warn);
  diagnostics.level = config.log.level;
  const deadline = deadlineOf(config, interactive);
  const isWorkShared = (): boolean => isShared(LOCK_DIRECTORY);
  const isShown = interactive && process.geteuid?.() === 0;
  const context: Context = {
    place,
    interactive,
    config,
    diagnostics,
    store,
    warn,
    deadline,
    isInstalled,
    isWorkShared,
    responseLog: openResponseLog(place, config, warn),
    firewall: openFirewall(config, store, { deadline, isWorkShared, isShown }),
    // If the clock is set during a run, the next run adjusts to it. Otherwise the times of this run would be
    // inconsistent.
    now: steadyClock(),
    onProgress: options.onProgress ?? (() => undefined),
    countsOffences: config.escalation.timeouts.length > 0,
    cutConnections: cutterFor(config, { store, warn, deadline }),
    ...policySources(options, { store, config, warn }),
    choice: () => chooseActive(config, store),
    reportMigration: (message) => diagnostics.warn(message),
    lock: () => beginRun(context),
    recover: (trouble) => recoverPending(context, trouble),
    migrate: (coming) => migrate(context, coming),
    expire: () => endRun(context),
    close: () => closeAll(context),
  };
  return context;
}

function closeAll({ store, diagnostics }: Context): void {
  store.close();
  diagnostics.close();
  releaseWriterLock();
}

/** Returns functions that read the policy from the agent's files and the host on first use. */
function policySources(
  { place, interactive }: ContextOptions,
  { store, config, warn }: Pick<RunContext, 'store' | 'config' | 'warn'>,
) {
  const { home } = place;
  const settings = lazily(() => readSettings(home, { store, warn }));
  const groupPolicy = lazily(() => readGroupPolicy(home, { store, warn }));
  const groupFile = groupPolicyFile(home);
  const host = { store, run, warn, mayWait: interactive };
  const sources = { ...host, config, settings, groupPolicy, groupFile };
  let known: readonly ProtectedEntry[] = [];
  const protectedEntries = lazily(() => (known = collectProtected(sources)));
  return {
    settings,
    timeouts: lazily(() => readTimeouts(place, { store, warn })),
    groupPolicy,
    protectedEntries,
    protectionOf: (address: Address) => {
      known = collectProtected(sources, address.family);
      const found = findProtection(address, known);
      // Look again in the entries of both families, which include the name of the interface.
      return found && (findProtection(address, protectedEntries()) ?? found);
    },
    knownProtected: () => known,
  };
}

type Warn = (message: string) => void;

function openDiagnostics({ place, readOnly = false, onTrouble }: ContextOptions) {
  const diagnostics = new Diagnostics(`${place.home}/logs/firewall-drop.log`, place.name);
  const said = new Set<string>();
  const warn = (message: string): void => {
    if (said.has(message)) return;
    said.add(message);
    if (!readOnly) diagnostics.warn(message);
    onTrouble(message);
  };
  return { diagnostics, warn };
}

function openState(
  { readOnly = false, interactive, onTrouble }: ContextOptions,
  warn: Warn,
): { readonly store: Store; readonly config: Config } {
  const nowMs = Date.now();
  // Only root can read the unsaved changes. Other users can still predict what an alert would do.
  const unsaved = process.geteuid?.() === 0 ? { unsaved: UNSAVED } : {};
  const place = { directory: STATE_DIRECTORY, ...unsaved };
  const how = { readOnly, showsUnsaved: interactive, mayRepair: false };
  const store = new Store({ ...place, ...how, nowMs }, warn);
  const reader = { store, warn, remind: onTrouble, mayWait: interactive };
  return { store, config: readConfig(reader) };
}

/**
 * Returns the deadline of the run. For execd, it counts from the start of the process. A person's process may be old
 * and open its second context.
 */
function deadlineOf({ limits }: Config, interactive: boolean): Deadline {
  const totalSeconds = interactive ? LONGEST_COMMAND_SECONDS : limits.totalSeconds;
  const spentSeconds = interactive ? 0 : process.uptime();
  return deadlineIn((totalSeconds - spentSeconds) * 1000);
}

function openResponseLog(place: Place, config: Config, warn: Warn): ResponseLogFile {
  return new ResponseLogFile({
    home: place.home,
    format: lazily(() => logFormat(place, config)),
    now: Date.now,
    onTrouble: (error) => warn(error.message),
  });
}

function logFormat({ home, name }: Place, { log, alert }: Config): LogFormat {
  return {
    kind: log.format,
    home,
    name,
    addressFields: alert.addressFields,
    wazuh5Fields: alert.wazuh5Fields,
    programName: log.programName ?? (name.endsWith('.sh') ? name : `${name}.sh`),
    zone: readHostZone(process.env['TZ']),
  };
}

function cutterFor(
  { firewall }: Config,
  context: Pick<RunContext, 'store' | 'warn' | 'deadline'>,
): BanContext['cutConnections'] {
  const { killConnections, programTimeoutSeconds } = firewall;
  return (addresses) => {
    if (!killConnections) return;
    const { forgetConnections } = require('./firewall/conntrack.ts') as typeof Conntrack;
    forgetConnections(addresses, { ...context, isInstalled, run, programTimeoutSeconds });
  };
}

function lazily<T>(find: () => T): () => T {
  let found: { readonly value: T } | null = null;
  return () => (found ??= { value: find() }).value;
}
