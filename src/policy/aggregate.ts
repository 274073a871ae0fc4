// Which network is banned in place of an address. Pure.
import type { Config } from '../config/schema.ts';
import { isSingle, makeAddress, type Address } from '../model/address.ts';
import { remainingSeconds, type Ban, type HoldLength } from '../model/ban.ts';
import type { Question } from './decision.ts';

export interface Target {
  readonly network: Address;
  readonly hold: HoldLength;
  readonly why: readonly string[];
  readonly absorbs: readonly Address[];
}

interface Wanted {
  readonly own: HoldLength;
  /** Seconds that no ban may last beyond; null: no limit. */
  readonly most: number | null;
}

/** The network that `[aggregate]` makes of an address, whether or not it is banned; null where that is not configured. */
export function networkOf(
  address: Address,
  { aggregate }: Pick<Config, 'aggregate'>,
): Address | null {
  if (address.family === 4 && aggregate.ipv4Count === 0) return null;
  const prefix = address.family === 4 ? aggregate.ipv4Prefix : aggregate.ipv6Prefix;
  const network = makeAddress(address.family, address.value, prefix);
  return isSingle(network) || !isSingle(address) ? null : network;
}

export function chooseTarget(question: Question, wanted: Wanted): Target {
  const { address, config, isProtected } = question;
  const alone = { network: address, hold: wanted.own, why: [], absorbs: [] };
  const network = networkOf(address, config);
  if (network === null || isProtected(network)) return alone;
  if (network.family === 4) return gather(network, question, wanted) ?? alone;
  const why = [`aggregate.ipv6_prefix = ${config.aggregate.ipv6Prefix}`];
  // OSSEC has each address on its list: the first delete would end what the others asked for.
  const origin = question.own.origin === 'ossec' ? 'policy' : wanted.own.origin;
  return { network, hold: { ...wanted.own, origin }, why, absorbs: [] };
}

/** Null: too few are banned, or one of them for longer than this alert may have anything banned. */
function gather(network: Address, question: Question, { own, most }: Wanted): Target | null {
  const { address, config, bansIn, findBan, nowMs } = question;
  const whole = findBan(network);
  const members = bansIn(network).filter(isOfAlerts);
  const others = members.filter((ban) => ban.address.text !== address.text);
  const { ipv4Count, ipv4Prefix } = config.aggregate;
  const isBanned = whole !== null && isOfAlerts(whole);
  if (!isBanned && others.length + 1 < ipv4Count) return null;
  const holds = [...members, ...(isBanned ? [whole] : [])].flatMap((ban) => ban.holds);
  const left = holds.length === 0 ? 0 : remainingSeconds(holds, nowMs);
  const seconds =
    own.timeoutSeconds === null || left === null
      ? null
      : Math.max(own.timeoutSeconds, Math.ceil(left));
  if (most !== null && (left ?? Infinity) > most) return null;
  const why = isBanned
    ? `${network.text} is banned already`
    : `aggregate.ipv4_count = ${ipv4Count}: so many addresses of one /${ipv4Prefix} network`;
  return {
    network,
    hold: { origin: 'policy', timeoutSeconds: seconds },
    why: [why],
    absorbs: members.map((ban) => ban.address),
  };
}

/** What people banned is theirs, and neither counted nor touched. */
export function isOfAlerts({ phase, holds }: Ban): boolean {
  return (
    phase === 'blocked' && holds.length > 0 && holds.every(({ origin }) => origin !== 'manual')
  );
}
