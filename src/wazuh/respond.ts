// Answers execd: reads what it asks, exchanges keys where it expects that, does it, and tells the log.
import { block, ensureBlocked } from '../ban/block.ts';
import { incidentAt, type HoldRequest, type Incident } from '../ban/ban.ts';
import type { Address } from '../ban/address.ts';
import { describeProtection, findProtection, type ProtectedEntry } from '../ban/protect.ts';
import type { Tools } from '../ban/tools.ts';
import { unblock } from '../ban/unblock.ts';
import { AppError } from '../errors.ts';
import type { LineReader } from '../os/pipe.ts';
import { deadlineIn, type Deadline } from '../os/wait.ts';
import { longestTimeout, type AgentSettings, type ConfiguredTimeout } from './agent.ts';
import type { LogAnnouncer } from './announcer.ts';
import { readArguments } from './arguments.ts';
import { exchangeKeys, keyMessage, type Answer } from './handshake.ts';
import { readMessage } from './message.ts';
import type { Request } from './request.ts';

/** A message is at most 65,535 bytes; an answer repeats it. */
export const LONGEST_LINE = 256 * 1024;

/** What answering needs of the house. */
export interface Respondent extends Tools {
  readonly announcer: LogAnnouncer;
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
export function respondToMessage(house: Respondent, { reader, write }: Streams): void {
  // Half of the time is for execd to speak, so that the other half is left to tell the kernel.
  const deadline = deadlineIn(house.deadline.remainingMs() / 2);
  const request = readOrRefuse(house, () => {
    return readMessage(readFirstLine(reader, deadline), house.config.alert.addressFields);
  });
  const keyLineOf = (address: Address): string => keyMessage(house.place.name, address);
  carryOut(request, house, {
    keyLineOf,
    exchange: (address) => exchangeKeys(keyLineOf(address), { reader, write, deadline }),
  });
}

/** OSSEC's door: no key exchange, so nobody says whether the address is blocked already. */
export function respondToArguments(house: Respondent, args: readonly string[]): void {
  const request = readOrRefuse(house, () => readArguments(args));
  carryOut(request, house, {
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

function readOrRefuse(house: Respondent, read: () => Request): Request {
  try {
    return read();
  } catch (error) {
    house.announcer.tellRefusal(incidentAt(house.now()));
    throw error;
  }
}

function carryOut(request: Request, house: Respondent, keys: KeyExchange): void {
  const incident = incidentOf(request, house.now());
  const { address } = request;
  if (address === null) {
    house.announcer.tellRefusal(incident);
    throw new AppError('BAD_DATA', `nothing to ${request.action}: ${request.addressTrouble}`);
  }
  if (request.action === 'block') carryOutBlock(request, address, incident, house, keys);
  else carryOutUnblock(request, address, incident, house);
  house.expire();
}

function carryOutBlock(
  request: Request,
  address: Address,
  incident: Incident,
  house: Respondent,
  keys: KeyExchange,
): void {
  refuseProtected(address, incident, request, house);
  const answer = exchangeOrFail(address, incident, house, keys);
  house.announcer.converse(
    { address, incident },
    { message: request.message, keyLine: keys.keyLineOf(address), answer: answer.spoken },
  );
  enter(house);
  const hold = holdOf(request, incident, house);
  if (answer.command === 'continue') block(address, hold, house);
  else ensureBlocked(address, hold, house);
}

function carryOutUnblock(
  request: Request,
  address: Address,
  incident: Incident,
  house: Respondent,
): void {
  house.announcer.converse(
    { address, incident },
    { message: request.message, keyLine: '', answer: null },
  );
  enter(house);
  unblock(address, { origin: originOf(request), incident }, house);
}

/** Without the lock the work is done all the same: a block that may race is better than none. */
function enter(house: Respondent): void {
  const trouble = house.lock();
  if (trouble !== null) house.warn(`working without the writer lock: ${trouble.message}`);
  house.settle();
}

function refuseProtected(
  address: Address,
  incident: Incident,
  request: Request,
  house: Respondent,
): void {
  const protection = findProtection(address, house.protectedEntries());
  if (protection === null) return;
  const outcome = { verb: 'refused', address, incident } as const;
  const reason = describeProtection(protection);
  house.announcer.tell([outcome]);
  house.store.record([{ atMs: house.now(), outcome, origin: originOf(request), reason }]);
  throw new AppError('REFUSED', `${address.text} is protected and was not blocked (${reason})`);
}

function exchangeOrFail(
  address: Address,
  incident: Incident,
  house: Respondent,
  { exchange }: KeyExchange,
): Answer {
  try {
    return exchange(address);
  } catch (error) {
    house.announcer.tell([{ verb: 'failed', address, incident }]);
    throw error;
  }
}

function incidentOf({ alertId, ruleId }: Request, nowMs: number): Incident {
  const stand = incidentAt(nowMs);
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
  house: Pick<Respondent, 'place' | 'config' | 'timeouts' | 'settings'>,
): number | null {
  const asked =
    request.timeoutSeconds === undefined
      ? longestTimeout(house.place.name, house.timeouts(), house.settings())
      : request.timeoutSeconds;
  const lateness = request.dialect === 'ossec' ? OSSEC_LATENESS_SECONDS : 0;
  return asked === null ? null : asked + house.config.limits.graceSeconds + lateness;
}

function holdOf(request: Request, incident: Incident, house: Respondent): HoldRequest {
  return {
    origin: originOf(request),
    timeoutSeconds: timeoutOf(request, house),
    incident,
    reason: request.reason,
  };
}
