// Does what execd asks: refuses protected addresses, exchanges keys where execd expects that, then blocks or unblocks.
import { block, ensureBlocked } from '../bans/block.ts';
import type { BanContext } from '../bans/context.ts';
import { unblock } from '../bans/unblock.ts';
import type { Config } from '../config/schema.ts';
import type { Address } from '../model/address.ts';
import { alertRefAt, type AlertRef, type HoldRequest, type Outcome } from '../model/ban.ts';
import { AppError } from '../model/errors.ts';
import { describeProtection, findProtection, type ProtectedEntry } from '../policy/protected.ts';
import type { LineReader } from '../system/stdin.ts';
import { deadlineIn, type Deadline } from '../system/wait.ts';
import { longestTimeout, type AgentSettings, type ConfiguredTimeout } from './agent-config.ts';
import { exchangeKeys, keyMessageFor, type ExchangeStreams } from './check-keys.ts';
import { readArguments } from './execd-arguments.ts';
import type { Place } from './home.ts';
import { readMessage } from './message.ts';
import { problemOf, ProtocolError } from './protocol-error.ts';
import type { Request } from './request.ts';
import type { Exchange } from './response-lines.ts';
import type { ResponseLogFile } from './response-log.ts';

/** A message is at most 65,535 bytes; an answer repeats it. */
export const LONGEST_LINE = 256 * 1024;

/** What an alert needs; `context.ts` creates it. */
export interface AlertContext extends BanContext, TimeoutContext {
  readonly responseLog: ResponseLogFile;
  readonly deadline: Deadline;
  readonly protectedEntries: () => readonly ProtectedEntry[];
  /** Null when the writer lock was taken, otherwise why not. */
  readonly lock: () => AppError | null;
  readonly settle: () => void;
  readonly expire: () => void;
}

interface TimeoutContext {
  readonly place: Place;
  readonly config: Pick<Config, 'alert' | 'limits'>;
  readonly timeouts: () => readonly ConfiguredTimeout[];
  readonly settings: () => AgentSettings;
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
  /** Null where execd gave arguments in place of a message. */
  readonly exchange: Exchange | null;
}

/** Wazuh. Throws an AppError when the kernel is not as asked; returns when it is. */
export function respondToMessage(context: AlertContext, { reader, write }: Streams): void {
  // Half of the time is for execd to write, so that the other half is left for the firewall.
  const deadline = deadlineIn(context.deadline.remainingMs() / 2);
  const alert = readAlert(context, reader, deadline);
  if (alert.request.action === 'unblock') unblockFor(alert, context);
  else {
    refuseProtected(alert, context);
    blockFor(withKeys(alert, context, { reader, write, deadline }), context);
  }
  context.expire();
}

/** OSSEC: no key exchange, so nobody says whether the address is blocked already. */
export function respondToArguments(context: AlertContext, args: readonly string[]): void {
  const alert = alertOf(readArguments(args), null, context);
  if (alert.request.action === 'unblock') unblockFor(alert, context);
  else {
    refuseProtected(alert, context);
    blockFor(alert, context);
  }
  context.expire();
}

function readAlert(context: AlertContext, reader: LineReader, deadline: Deadline): Alert {
  let line: Buffer | null = null;
  let request: Request;
  try {
    line = readFirstLine(reader, deadline);
    const { addressFields, wazuh5Fields } = context.config.alert;
    request = readMessage(line, addressFields, wazuh5Fields);
  } catch (error) {
    const alertRef = alertRefAt(context.now());
    const exchange = exchangeOf(line ?? reader.rest());
    const problem = problemOf(error);
    context.responseLog
      .about(exchange)
      .writeFailure({ verb: 'refused', address: null, alertRef, problem });
    throw error;
  }
  return alertOf(request, exchangeOf(line), context);
}

function readFirstLine(reader: LineReader, deadline: Deadline): Buffer {
  let line: Buffer | null;
  try {
    line = reader.readLine(deadline);
  } catch (error) {
    throw noMessage('the message can not be read', error);
  }
  if (line !== null) return line;
  if (deadline.remainingMs() === 0) throw noMessage('no whole message came in time');
  // The last line of the input may lack its line end.
  if (reader.rest().length > 0) return reader.rest();
  throw noMessage('no whole message came before the input ended');
}

function noMessage(message: string, cause?: unknown): ProtocolError {
  return new ProtocolError('BAD_DATA', 'Cannot read input from stdin', message, cause);
}

function exchangeOf(message: Buffer): Exchange {
  return { message: message.toString('utf8'), keyMessage: '', answer: null };
}

function alertOf(request: Request, exchange: Exchange | null, context: AlertContext): Alert {
  const alertRef = alertRefOf(request, context.now());
  const { address, addressProblem: problem } = request;
  if (address !== null) return { request, address, alertRef, exchange };
  context.responseLog.about(exchange).writeFailure({ verb: 'refused', address, alertRef, problem });
  throw new AppError('BAD_DATA', `nothing to ${request.action}: ${request.addressTrouble}`);
}

function alertRefOf({ alertId, ruleId }: Request, nowMs: number): AlertRef {
  const byTime = alertRefAt(nowMs);
  return { alertId: alertId ?? byTime.alertId, ruleId: ruleId ?? byTime.ruleId };
}

function refuseProtected(alert: Alert, context: AlertContext): void {
  const { request, address, exchange } = alert;
  const protection = findProtection(address, context.protectedEntries());
  if (protection === null) return;
  const outcome = outcomeOf('refused', alert);
  const reason = describeProtection(protection);
  context.responseLog.about(exchange).write([outcome]);
  context.store.history.record([
    { atMs: context.now(), outcome, origin: originOf(request), reason },
  ]);
  throw new AppError('REFUSED', `${address.text} is protected and was not blocked (${reason})`);
}

function outcomeOf(verb: Outcome['verb'], { address, alertRef }: Alert): Outcome {
  return { verb, address, alertRef };
}

/** The alert with the keys and the answer of execd. */
function withKeys(alert: Alert, context: AlertContext, streams: ExchangeStreams): Alert {
  const keyMessage = keyMessageFor(context.place.name, alert.address);
  const exchange: Exchange = { message: '', answer: null, ...alert.exchange, keyMessage };
  try {
    return { ...alert, exchange: { ...exchange, answer: exchangeKeys(keyMessage, streams) } };
  } catch (error) {
    const problem = problemOf(error);
    context.responseLog.about(exchange).writeFailure({ ...outcomeOf('failed', alert), problem });
    throw error;
  }
}

function blockFor(alert: Alert, context: AlertContext): void {
  prepare(context);
  const { address, exchange } = alert;
  const responseLog = context.responseLog.about(exchange);
  const tools = { ...context, responseLog };
  const hold = holdOf(alert, context);
  if (exchange?.answer?.command !== 'abort') block(address, hold, tools);
  else if (!ensureBlocked(address, hold, tools)) {
    responseLog.writeUnchanged(outcomeOf('add', alert));
  }
}

function unblockFor(alert: Alert, context: AlertContext): void {
  prepare(context);
  const { request, address, alertRef, exchange } = alert;
  const responseLog = context.responseLog.about(exchange);
  const release = { origin: originOf(request), alertRef };
  if (unblock(address, release, { ...context, responseLog }) === 'absent') {
    responseLog.writeUnchanged(outcomeOf('delete', alert));
  }
}

/** Without the lock the work is done all the same: a block that may race is better than none. */
function prepare(context: AlertContext): void {
  const trouble = context.lock();
  if (trouble !== null) context.warn(`working without the writer lock: ${trouble.message}`);
  context.settle();
}

function originOf({ dialect }: Request): 'wazuh' | 'ossec' {
  return dialect === 'ossec' ? 'ossec' : 'wazuh';
}

/** ossec-execd looks for what is due every 90 seconds only. */
const OSSEC_LATENESS_SECONDS = 90;

/**
 * How many seconds a block that execd asks for may last: longer than execd itself waits, so that its own delete comes
 * first. Null: until it is unblocked.
 */
export function timeoutOf(request: Request, context: TimeoutContext): number | null {
  const asked =
    request.timeoutSeconds === undefined
      ? longestTimeout(context.place.name, context.timeouts(), context.settings())
      : request.timeoutSeconds;
  const lateness = request.dialect === 'ossec' ? OSSEC_LATENESS_SECONDS : 0;
  return asked === null ? null : asked + context.config.limits.graceSeconds + lateness;
}

function holdOf({ request, alertRef }: Alert, context: AlertContext): HoldRequest {
  return {
    origin: originOf(request),
    timeoutSeconds: timeoutOf(request, context),
    alertRef,
    reason: request.reason,
  };
}
