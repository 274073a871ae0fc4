// `doctor --test`: blocks and releases documentation addresses for real, and looks at kernel, log and books each time.
import { block } from '../../ban/block.ts';
import { parseAddress, type Address, type Family } from '../../ban/address.ts';
import { incidentAt, type Incident, type Verb } from '../../ban/ban.ts';
import { findProtection } from '../../ban/protect.ts';
import { unblock } from '../../ban/unblock.ts';
import { AppError, describeError } from '../../errors.ts';
import { findVerdict } from '../../firewall/verdict.ts';
import type { House } from '../../house/house.ts';
import { hasIpv6 } from '../../os/network.ts';
import type { LogMark } from '../../store/store.ts';
import { ok, problem, type Finding } from './check.ts';

/** Should this very process be killed half-way, the block ends by itself after so long. */
const NET_SECONDS = 60;

/** Nobody's, by RFC 5737 and RFC 3849: but a test host may use them, and a person may have blocked some of them. */
const NOBODYS: Readonly<Record<Family, string>> = { 4: '192.0.2.', 6: '2001:db8:ffff:ffff::' };
const HIGHEST = 254;

/** What was seen, one finding for each step. Nothing stays, also when a step fails. */
export function tryOut(house: House): Finding[] {
  const families: readonly Family[] = hasIpv6() ? [4, 6] : [4];
  return families.flatMap((family) => {
    try {
      return tryFamily(house, family);
    } catch (error) {
      const what = `IPv${family} could not be tried: ${describeError(error)}`;
      return [problem(what, 'mend that first')];
    }
  });
}

function tryFamily(house: House, family: Family): Finding[] {
  const address = findUnused(house, family);
  const findings: Finding[] = [];
  try {
    findings.push(tryStep(house, address, 'add'));
  } finally {
    findings.push(tryStep(house, address, 'delete'));
    house.store.flush();
  }
  return findings;
}

function findUnused(house: House, family: Family): Address {
  const { rules } = house.firewall.census(family);
  const entries = house.protectedEntries();
  for (let last = HIGHEST; last > 0; last -= 1) {
    const address = parseAddress(`${NOBODYS[family]}${last}`);
    if (address === null || findProtection(address, entries) !== null) continue;
    if (house.store.find(address) !== null) continue;
    if (rules.some(({ spec }) => spec.includes(`${address.text}/`))) continue;
    return address;
  }
  const all = `${NOBODYS[family]}1 to ${HIGHEST}`;
  throw new AppError('BAD_DATA', `every address from ${all} is in use: nothing to try with`);
}

function tryStep(house: House, address: Address, verb: 'add' | 'delete'): Finding {
  const incident = incidentAt(house.now());
  const mark = house.announcer.mark();
  const startedMs = performance.now();
  const trouble = attempt(() => {
    if (verb === 'delete') unblock(address, { origin: 'manual', incident }, house);
    else block(address, holdFor(incident), house);
  });
  const tookMs = Math.round(performance.now() - startedMs);
  const word = verb === 'add' ? 'block' : 'release';
  if (trouble !== '') {
    return problem(`${word} ${address.text}: ${trouble}`, 'see the checks of the firewall');
  }
  const missing = whatIsMissing(house, { address, verb, incident, mark });
  if (missing.length > 0) {
    return problem(`${word} ${address.text}: ${missing.join('; ')}`, 'see the checks above');
  }
  const where = verb === 'add' ? `in ${chainsOf(house, address)}` : 'nowhere in the kernel';
  return ok(`${word} ${address.text}: ${where}, told in the log, in the books; ${tookMs} ms`);
}

function holdFor(incident: Incident): Parameters<typeof block>[1] {
  return { origin: 'manual', timeoutSeconds: NET_SECONDS, incident, reason: 'doctor --test' };
}

function attempt(work: () => void): string {
  try {
    work();
    return '';
  } catch (error) {
    return describeError(error);
  }
}

interface Step {
  readonly address: Address;
  readonly verb: Extract<Verb, 'add' | 'delete'>;
  readonly incident: Incident;
  readonly mark: LogMark | null;
}

function whatIsMissing(house: House, { address, verb, incident, mark }: Step): string[] {
  const census = house.firewall.census(address.family);
  const isBlocked = verb === 'add';
  const missing: string[] = [];
  if (census.held.has(address.text) !== isBlocked) {
    missing.push(
      isBlocked ? 'the kernel has no rule for it' : 'the kernel still has a rule for it',
    );
  }
  const { kind, rule } = findVerdict(address, census);
  if (isBlocked && kind !== 'dropped') {
    missing.push(`a rule before ours accepts it: ${rule?.chain ?? 'INPUT'} ${rule?.spec ?? ''}`);
  }
  if (house.announcer.untoldSince(mark, [{ verb, address, incident }]).length > 0) {
    missing.push('active-responses.log has no line of it');
  }
  if ((house.store.find(address)?.phase === 'blocked') !== isBlocked) {
    missing.push('the books say otherwise');
  }
  return missing;
}

function chainsOf({ firewall }: House, address: Address): string {
  const chains = firewall.census(address.family).held.get(address.text)?.chains ?? [];
  return chains.length > 0 ? chains.join(' and ') : firewall.backendName;
}
