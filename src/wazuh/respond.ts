// Carries out a request of execd: refuses protected addresses, exchanges keys if needed, then blocks or unblocks.
import { block, ensureBlocked } from '../bans/block.ts';
import type { BanContext } from '../bans/context.ts';
import { absorb, unblock, unblockAll } from '../bans/unblock.ts';
import type { Address } from '../model/address.ts';
import { alertRefAt, type AlertRef, type HoldRequest, type Outcome } from '../model/ban.ts';
import { AppError } from '../model/errors.ts';
import type { Decision } from '../policy/decide.ts';
import { describeProtection } from '../policy/protected.ts';
import type { LineReader } from '../system/stdin.ts';
import { deadlineIn, type Deadline } from '../system/wait.ts';
import { exchangeKeys, keyMessageFor, readFirstLine, type ExchangeStreams } from './check-keys.ts';
import {
  decideBlock,
  enclosingNetwork,
  withFuse,
  type PolicyContext,
  isAgentStop,
  originOf,
} from './policy.ts';
import { readReason, type Request, readMessage, readArguments, problemOf } from './request.ts';
import type { Exchange } from './response-lines.ts';
import type { ResponseLogFile } from './response-log.ts';

/** The longest line accepted from execd, in bytes. A message has at most 65,535, and execd's answer repeats it. */
export const LONGEST_LINE = 256 * 1024;

/** What an alert needs; `context.ts` creates it. */
export interface AlertContext extends BanContext, PolicyContext {
  readonly responseLog: ResponseLogFile;
  readonly deadline: Deadline;
  /**
   * Takes the writer lock. Returns null, or the reason why the run continues without it. Throws if the run must not
   * change anything, for example in another network namespace.
   */
  readonly lock: () => AppError | null;
  /**
   * Completes pending changes before the request. Gets the reason why there is no writer lock, or null. Reports
   * failures and does not throw.
   */
  readonly recover: (trouble: AppError | null) => void;
  /** Unblocks what is due and migrates, after the request. Reports failures and does not throw. */
  readonly expire: () => void;
}

export interface Streams {
  readonly reader: LineReader;
  readonly write: (text: string, deadline: Deadline) => void;
}

/** A request that names an address. */
interface Alert {
  readonly request: Request;
  readonly address: Address;
  readonly alertRef: AlertRef;
  /** null if execd passed arguments instead of a message. */
  readonly exchange: Exchange | null;
}

/** Carries out a message of wazuh-execd. Throws an AppError if the request was refused or failed. */
export function respondToMessage(context: AlertContext, { reader, write }: Streams): void {
  // The exchange with execd gets half of the time, so that the other half is left for the firewall.
  const deadline = deadlineIn(context.deadline.remainingMs() / 2);
  respond(readAlert(context, reader, deadline), context, { reader, write, deadline });
}

/** Carries out the arguments of ossec-execd. There is no key exchange, so execd never answers `abort`. */
export function respondToArguments(context: AlertContext, args: readonly string[]): void {
  respond(alertOf(readArguments(args), null, context), context, null);
}

/** `streams` is null if there is no key exchange. */
function respond(alert: Alert, context: AlertContext, streams: ExchangeStreams | null): void {
  if (alert.request.action === 'unblock') unblockFor(alert, context);
  else {
    const decision = decideBlock(alert.request, alert.address, context);
    if (decision.action === 'release') releaseFor(alert, context);
    else {
      refuse(alert, decision, context);
      const { target } = decision;
      const asked = streams === null ? alert : withKeys(alert, target, context, streams);
      blockFor(asked, decision, context);
    }
  }
  context.expire();
}

function readAlert(context: AlertContext, reader: LineReader, deadline: Deadline): Alert {
  let line: Buffer | null = null;
  let request: Request;
  try {
    line = readFirstLine(reader, deadline);
    request = readMessage(line, context.config.alert);
  } catch (error) {
    const alertRef = alertRefAt(context.now());
    const exchange = exchangeOf(line ?? reader.rest());
    const problem = problemOf(error);
    context.responseLog
      .about(exchange)
      .write([{ verb: 'refused', address: null, alertRef, problem }]);
    throw error;
  }
  return alertOf(request, exchangeOf(line), context);
}

function exchangeOf(message: Buffer): Exchange {
  return { message: message.toString('utf8'), keyMessage: '', answer: null };
}

function alertOf(request: Request, exchange: Exchange | null, context: AlertContext): Alert {
  const byTime = alertRefAt(context.now());
  const { address, addressProblem: problem, alertId, ruleId } = request;
  const alertRef = { alertId: alertId ?? byTime.alertId, ruleId: ruleId ?? byTime.ruleId };
  if (address !== null) return { request, address, alertRef, exchange };
  context.responseLog.about(exchange).write([{ verb: 'refused', address, alertRef, problem }]);
  throw new AppError('BAD_DATA', `nothing to ${request.action}: ${request.addressTrouble}`);
}

/** Throws `REFUSED` if the address is protected or policy ignores the alert. */
function refuse(alert: Alert, decision: Decision, context: AlertContext): void {
  const { address } = alert;
  const protection = context.protectionOf(address);
  if (protection !== null) {
    const reason = describeProtection(protection);
    note('refused', alert, reason, context);
    throw new AppError('REFUSED', `${address.text} is protected and was not blocked (${reason})`);
  }
  if (decision.action !== 'ignore') return;
  const reason = decision.decidedBy.at(-1) ?? '';
  if (decision.fuse === true) noteFlood(alert, reason, context);
  else note('refused', alert, reason, context);
  throw new AppError('REFUSED', `${address.text} was not blocked: ${reason}`);
}

/** Logs and records an outcome that changes nothing in the kernel. */
function note(verb: 'refused' | 'kept', alert: Alert, reason: string, context: AlertContext): void {
  const outcome = outcomeOf(verb, alert);
  context.responseLog.about(alert.exchange).write([outcome]);
  recordFor(alert, outcome, reason, context);
}

function recordFor(
  { request }: Alert,
  outcome: Outcome,
  reason: string,
  { store, now }: AlertContext,
): void {
  store.history.record([{ atMs: now(), outcome, origin: originOf(request), reason }]);
}

const FLOOD = 'flood of alerts noted';
const MINUTE_MS = 60_000;

/**
 * Logs that the limit on bans per minute refused an alert. Once a minute it also writes a `failed` line, which raises
 * an alert, and a record in history: one record for each refusal would let an attacker with forged addresses fill
 * history.
 */
function noteFlood(alert: Alert, reason: string, context: AlertContext): void {
  const { store, responseLog, now } = context;
  const refused = outcomeOf('refused', alert);
  const sinceMs = now() - Number(store.metadata.get(FLOOD) ?? 0);
  const isNoted = sinceMs >= 0 && sinceMs < MINUTE_MS;
  const failed = outcomeOf('failed', alert);
  responseLog.about(alert.exchange).write(isNoted ? [refused] : [refused, failed]);
  if (isNoted) return;
  store.metadata.set(FLOOD, String(now()));
  recordFor(alert, failed, reason, context);
}

function outcomeOf(verb: Outcome['verb'], { address, alertRef }: Alert): Outcome {
  return { verb, address, alertRef };
}

function withKeys(
  alert: Alert,
  target: Address,
  context: AlertContext,
  streams: ExchangeStreams,
): Alert {
  const keyMessage = keyMessageFor(context.place.name, target);
  const exchange: Exchange = { message: '', answer: null, ...alert.exchange, keyMessage };
  try {
    return { ...alert, exchange: { ...exchange, answer: exchangeKeys(keyMessage, streams) } };
  } catch (error) {
    const problem = problemOf(error);
    context.responseLog.about(exchange).write([{ ...outcomeOf('failed', alert), problem }]);
    throw error;
  }
}

function blockFor(alert: Alert, decided: Decision, context: AlertContext): void {
  prepare(alert, context);
  const decision = decideAgain(alert, decided, context);
  const { exchange, alertRef } = alert;
  const { target, absorbs = [] } = decision;
  const responseLog = context.responseLog.about(exchange);
  const logging = { ...context, responseLog };
  const hold = holdOf(alert, decision);
  if (exchange?.answer?.command !== 'abort') block(target, hold, logging);
  else if (!ensureBlocked(target, hold, logging)) {
    responseLog.writeUnchanged({ verb: 'add', address: target, alertRef });
  }
  if (absorbs.length > 0) absorb(absorbs, target, context);
}

/**
 * Decides once more under the writer lock, because another run can have changed the state during the key exchange. The
 * target stays as decided, because execd has it as its key. Throws `REFUSED` if simultaneous alerts have reached
 * limits.bans_per_minute in the meantime.
 */
function decideAgain(alert: Alert, decided: Decision, context: AlertContext): Decision {
  const isPlain = decided.decidedBy.length === 0;
  const again = isPlain
    ? withFuse(decided, context)
    : decideBlock(alert.request, alert.address, context);
  if (again.fuse === true) refuse(alert, again, context);
  const isSame = again.action === 'block' && again.target.text === decided.target.text;
  return isSame ? again : decided;
}

function holdOf({ request, alertRef }: Alert, { holds, reason }: Decision): HoldRequest {
  const [first, ...also] = holds;
  if (first === undefined) throw new Error('a block without a hold');
  const why = reason === undefined ? request.reason : readReason(reason);
  return { ...first, alertRef, reason: why, also };
}

function unblockFor(alert: Alert, context: AlertContext): void {
  prepare(alert, context);
  const { request, address, alertRef, exchange } = alert;
  const network = enclosingNetwork(address, context);
  const why = whyKept(request, address, context);
  if (why !== null) {
    note('kept', alert, why, context);
    return;
  }
  const responseLog = context.responseLog.about(exchange);
  const release = { origin: originOf(request), alertRef };
  if (unblock(network ?? address, release, { ...context, responseLog }) === 'absent') {
    responseLog.writeUnchanged(outcomeOf('delete', alert));
  }
}

/** Returns the reason why execd's delete does not end the ban; null if it ends execd's hold. */
export function whyKept(request: Request, address: Address, context: PolicyContext): string | null {
  const ban = context.store.bans.find(enclosingNetwork(address, context) ?? address);
  if (ban === null) return null;
  const own = ban.holds.find((hold) => hold.origin === originOf(request));
  if (own === undefined) {
    return ban.address.text === address.text ? null : `part of ${ban.address.text}`;
  }
  const { keepOnAgentStop } = context.config.firewall;
  if (!keepOnAgentStop || !isAgentStop(request, own, context)) return null;
  return 'firewall.keep_on_agent_stop: execd sent delete before the timeout';
}

/** Ends the holds of all origins on the address, as the argument `release` of the active response requests. */
function releaseFor(alert: Alert, context: AlertContext): void {
  prepare(alert, context);
  const { address, alertRef } = alert;
  const network = enclosingNetwork(address, context);
  // The message itself says "add", so the log line must not repeat it.
  const responseLog = context.responseLog.about(null);
  const addresses = network === null ? [address] : [address, network];
  unblockAll(addresses, { origin: null, alertRef }, { ...context, responseLog });
}

/** Takes the writer lock and recovers. Continues without the lock: a block that can race is better than none. */
function prepare(alert: Alert, context: AlertContext): void {
  let trouble: AppError | null;
  try {
    trouble = context.lock();
  } catch (error) {
    context.responseLog.about(alert.exchange).write([outcomeOf('failed', alert)]);
    throw error;
  }
  if (trouble !== null) context.warn(`working without the writer lock: ${trouble.message}`);
  context.recover(trouble);
}
