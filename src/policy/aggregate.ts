// Chooses the network that is banned instead of an address. Pure.
import type { Config } from '../config/schema.ts';
import { isSingle, makeAddress, type Address } from '../model/address.ts';
import { isOfAlerts, remainingSeconds, type HoldLength } from '../model/ban.ts';
import type { Question } from './decide.ts';

export interface Target {
  readonly network: Address;
  readonly hold: HoldLength;
  readonly why: readonly string[];
  readonly absorbs: readonly Address[];
}

interface Wanted {
  readonly own: HoldLength;
  /** The maximum duration of any ban, in seconds; null if there is no limit. */
  readonly maxSeconds: number | null;
}

/** Returns the network of an address according to `[aggregate]`, banned or not; null if none is configured. */
export function networkOf(
  address: Address,
  { aggregate }: Pick<Config, 'aggregate'>,
): Address | null {
  if (address.family === 4 && aggregate.ipv4Count === 0) return null;
  const prefix = address.family === 4 ? aggregate.ipv4Prefix : aggregate.ipv6Prefix;
  const network = makeAddress(address.family, address.value, prefix);
  return isSingle(network) || !isSingle(address) ? null : network;
}

/** Returns the network or address to ban for an alert. A network that contains a protected address is not banned. */
export function chooseTarget(question: Question, wanted: Wanted): Target {
  const { address, config, isProtected } = question;
  const alone = { network: address, hold: wanted.own, why: [], absorbs: [] };
  const network = networkOf(address, config);
  if (network === null || isProtected(network)) return alone;
  if (network.family === 4) return aggregateIpv4(network, question, wanted) ?? alone;
  const why = [`aggregate.ipv6_prefix = ${config.aggregate.ipv6Prefix}`];
  // ossec-execd sends a delete for each address. The first one would end the ban that the other addresses still need.
  const origin = question.own.origin === 'ossec' ? 'policy' : wanted.own.origin;
  return { network, hold: { ...wanted.own, origin }, why, absorbs: [] };
}

/**
 * Returns null if too few addresses of the network are banned, or if one of their bans lasts longer than `maxSeconds`,
 * the limit for this alert.
 */
function aggregateIpv4(
  network: Address,
  question: Question,
  { own, maxSeconds }: Wanted,
): Target | null {
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
  if (maxSeconds !== null && (left ?? Infinity) > maxSeconds) return null;
  const why = isBanned
    ? `${network.text} is already banned`
    : `aggregate.ipv4_count = ${ipv4Count}: this many addresses of one /${ipv4Prefix} network`;
  return {
    network,
    hold: { origin: 'policy', timeoutSeconds: seconds },
    why: [why],
    absorbs: members.map((ban) => ban.address),
  };
}
