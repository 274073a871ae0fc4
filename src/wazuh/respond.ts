// Answers execd: reads what it asks, exchanges keys where it expects that, does it, and tells the log.
import { block, ensureBlocked } from '../bans/block.ts';
import { alertRefAt, type HoldRequest, type AlertRef } from '../model/ban.ts';
import type { Address } from '../model/address.ts';
import { describeProtection, findProtection, type ProtectedEntry } from '../policy/protected.ts';
import type { Tools } from '../bans/tools.ts';
import { unblock } from '../bans/unblock.ts';
import { AppError } from '../model/errors.ts';
import type { LineReader } from '../system/stdin.ts';
import { deadlineIn, type Deadline } from '../system/wait.ts';
import { longestTimeout, type AgentSettings, type ConfiguredTimeout } from './agent-config.ts';
import type { LogAnnouncer } from './announcer.ts';
import { readArguments } from './execd-arguments.ts';
import { exchangeKeys, keyMessage, type Answer } from './check-keys.ts';
import { readMessage } from './message.ts';
import type { Request } from './request.ts';

/** A message is at most 65,535 bytes; an answer repeats it. */
export const LONGEST_LINE = 256 * 1024;

/** What answering needs of the context. */
export interface Respondent extends Tools {
  readonly responseLog: LogAnnouncer;
  readonly place: { readonly name: string };
  readonly config: {
    readonly alert: { readonly addressFields: readonly string[] };
    readonly limits: { readonly graceSeconds: number };
  };
  readonly deadline: Deadline;
  timeouts(): readonly ConfiguredTimeout[];
  settings(): AgentSettings;
  protectedEntries(): readonly ProtectedEntry[];
  lock(): AppError | null;
  settle(): void;
  expire(): void;
}

export interface Streams {
  readonly reader: LineReader;
  readonly write: (text: string, deadline: Deadline) => void;
}

/** Wazuh's door. Throws an AppError when the kernel is not as asked; returns when it is. */
export function respondToMessage(context: Respondent, { reader, write }: Streams): void {
  // Half of the time is for execd to speak, so that the other half is left to tell the kernel.
  const deadline = deadlineIn(context.deadline.remainingMs() / 2);
  const request = readOrRefuse(context, () => {
    return readMessage(readFirstLine(reader, deadline), context.config.alert.addressFields);
  });
  const keyLineOf = (address: Address): string => keyMessage(context.place.name, address);
  carryOut(request, context, {
    keyLineOf,
    exchange: (address) => exchangeKeys(keyLineOf(address), { reader, write, deadline }),
  });
}

/** OSSEC's door: no key exchange, so nobody says whether the address is blocked already. */
export function respondToArguments(context: Respondent, args: readonly string[]): void {
  const request = readOrRefuse(context, () => readArguments(args));
  carryOut(request, context, {
    keyLineOf: () => '',
    exchange: () => ({ command: 'continue', spoken: null }),
  });
}

interface KeyExchange {
  readonly keyLineOf: (address: Address) => string;
  readonly exchange: (address: Address) => Answer;
}

function readFirstLine(reader: LineReader, deadline: Deadline): Buffer {
  let line: Buffer | null;
  try {
    line = reader.readLine(deadline);
  } catch (error) {
    throw new AppError('BAD_DATA', 'the message can not be read', error);
  }
  if (line !== null) return line;
  const why = deadline.remainingMs() === 0 ? 'came in time' : 'came before the input ended';
  throw new AppError('BAD_DATA', `no whole message ${why}`);
}

function readOrRefuse(context: Respondent, read: () => Request): Request {
  try {
    return read();
  } catch (error) {
    context.responseLog.tellRefusal(alertRefAt(context.now()));
    throw error;
  }
}

function carryOut(request: Request, context: Respondent, keys: KeyExchange): void {
  const alertRef = alertRefOf(request, context.now());
  const { address } = request;
  if (address === null) {
    context.responseLog.tellRefusal(alertRef);
    throw new AppError('BAD_DATA', `nothing to ${request.action}: ${request.addressTrouble}`);
  }
  if (request.action === 'block') carryOutBlock(request, address, alertRef, context, keys);
  else carryOutUnblock(request, address, alertRef, context);
  context.expire();
}

function carryOutBlock(
  request: Request,
  address: Address,
  alertRef: AlertRef,
  context: Respondent,
  keys: KeyExchange,
): void {
  refuseProtected(address, alertRef, request, context);
  const answer = exchangeOrFail(address, alertRef, context, keys);
  context.responseLog.converse(
    { address, alertRef },
    { message: request.message, keyLine: keys.keyLineOf(address), answer: answer.spoken },
  );
  enter(context);
  const hold = holdOf(request, alertRef, context);
  if (answer.command === 'continue') block(address, hold, context);
  else ensureBlocked(address, hold, context);
}

function carryOutUnblock(
  request: Request,
  address: Address,
  alertRef: AlertRef,
  context: Respondent,
): void {
  context.responseLog.converse(
    { address, alertRef },
    { message: request.message, keyLine: '', answer: null },
  );
  enter(context);
  unblock(address, { origin: originOf(request), alertRef }, context);
}

/** Without the lock the work is done all the same: a block that may race is better than none. */
function enter(context: Respondent): void {
  const trouble = context.lock();
  if (trouble !== null) context.warn(`working without the writer lock: ${trouble.message}`);
  context.settle();
}

function refuseProtected(
  address: Address,
  alertRef: AlertRef,
  request: Request,
  context: Respondent,
): void {
  const protection = findProtection(address, context.protectedEntries());
  if (protection === null) return;
  const outcome = { verb: 'refused', address, alertRef } as const;
  const reason = describeProtection(protection);
  context.responseLog.write([outcome]);
  context.store.record([{ atMs: context.now(), outcome, origin: originOf(request), reason }]);
  throw new AppError('REFUSED', `${address.text} is protected and was not blocked (${reason})`);
}

function exchangeOrFail(
  address: Address,
  alertRef: AlertRef,
  context: Respondent,
  { exchange }: KeyExchange,
): Answer {
  try {
    return exchange(address);
  } catch (error) {
    context.responseLog.write([{ verb: 'failed', address, alertRef }]);
    throw error;
  }
}

function alertRefOf({ alertId, ruleId }: Request, nowMs: number): AlertRef {
  const stand = alertRefAt(nowMs);
  return { alertId: alertId ?? stand.alertId, ruleId: ruleId ?? stand.ruleId };
}

function originOf({ dialect }: Request): 'wazuh' | 'ossec' {
  return dialect === 'ossec' ? 'ossec' : 'wazuh';
}

/** ossec-execd looks for what is due every 90 seconds only. */
const OSSEC_LATENESS_SECONDS = 90;

/** How long a block that Wazuh or OSSEC asks for may last: a net under execd's own delete, which comes first. */
export function timeoutOf(
  request: Request,
  context: Pick<Respondent, 'place' | 'config' | 'timeouts' | 'settings'>,
): number | null {
  const asked =
    request.timeoutSeconds === undefined
      ? longestTimeout(context.place.name, context.timeouts(), context.settings())
      : request.timeoutSeconds;
  const lateness = request.dialect === 'ossec' ? OSSEC_LATENESS_SECONDS : 0;
  return asked === null ? null : asked + context.config.limits.graceSeconds + lateness;
}

function holdOf(request: Request, alertRef: AlertRef, context: Respondent): HoldRequest {
  return {
    origin: originOf(request),
    timeoutSeconds: timeoutOf(request, context),
    alertRef,
    reason: request.reason,
  };
}
