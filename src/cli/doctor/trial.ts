// `doctor --test`: really blocks and releases documentation addresses, and verifies the kernel, the log and the state.
import { block } from '../../bans/block.ts';
import { parseAddress, type Address, type Family } from '../../model/address.ts';
import { alertRefAt, TRIAL, type Outcome } from '../../model/ban.ts';
import { findProtection } from '../../policy/protected.ts';
import { unblock } from '../../bans/unblock.ts';
import { AppError, describeError } from '../../model/errors.ts';
import { findVerdict } from '../../firewall/verdict.ts';
import type { Context } from '../../context.ts';
import { hasIpv6 } from '../../system/net.ts';
import type { LogOffset } from '../../state/rows.ts';
import { troubleOf } from '../../system/paths.ts';
import { ok, problem, type Finding } from './check.ts';

/** The timeout of the test ban, after which it ends by itself if this process is killed. */
const TEST_BAN_SECONDS = 60;

/**
 * The documentation addresses of RFC 5737 and RFC 3849. A test host can use them, and a person can have blocked some.
 */
const TEST_PREFIXES: Readonly<Record<Family, string>> = {
  4: '192.0.2.',
  6: '2001:db8:ffff:ffff::',
};
const HIGHEST = 254;

/**
 * Tests a block and a release for each address family, with one finding per step. Leaves nothing behind, even if a step
 * fails.
 */
export function runTrial(context: Context): Finding[] {
  const families: readonly Family[] = hasIpv6() ? [4, 6] : [4];
  return families.flatMap((family) => {
    try {
      return tryFamily(context, family);
    } catch (error) {
      const what = `IPv${family} could not be tested: ${describeError(error)}`;
      return [problem(what, 'fix the cause first')];
    }
  });
}

function tryFamily(context: Context, family: Family): Finding[] {
  const address = findUnused(context, family);
  const findings: Finding[] = [];
  try {
    findings.push(tryStep(context, address, 'add'));
  } finally {
    findings.push(tryStep(context, address, 'delete'));
    context.store.metadata.flush();
  }
  return findings;
}

function findUnused(context: Context, family: Family): Address {
  const { rules } = context.firewall.snapshot(family);
  const entries = context.protectedEntries();
  for (let last = HIGHEST; last > 0; last -= 1) {
    const address = parseAddress(`${TEST_PREFIXES[family]}${last}`);
    if (address === null || findProtection(address, entries) !== null) continue;
    if (context.store.bans.find(address) !== null) continue;
    if (rules.some(({ spec }) => spec.includes(`${address.text}/`))) continue;
    return address;
  }
  const all = `${TEST_PREFIXES[family]}1 to ${HIGHEST}`;
  throw new AppError('BAD_DATA', `all addresses from ${all} are in use: none is free for a test`);
}

function tryStep(context: Context, address: Address, verb: 'add' | 'delete'): Finding {
  const alertRef = alertRefAt(context.now());
  const request = { origin: 'manual', alertRef, reason: TRIAL } as const;
  const offset = context.responseLog.offset();
  const startedMs = performance.now();
  const trouble = troubleOf(() => {
    if (verb === 'delete') unblock(address, request, context);
    else block(address, { ...request, timeoutSeconds: TEST_BAN_SECONDS }, context);
  });
  const tookMs = Math.round(performance.now() - startedMs);
  const word = verb === 'add' ? 'block' : 'release';
  const wrong =
    trouble === '' ? findFailures(context, { address, verb, alertRef }, offset) : [trouble];
  if (wrong.length > 0) {
    return problem(`${word} ${address.text}: ${wrong.join('; ')}`, 'see the checks above');
  }
  const where = verb === 'add' ? `in ${chainsOf(context, address)}` : 'not in the kernel';
  return ok(`${word} ${address.text}: ${where}, in the log, in the state; ${tookMs} ms`);
}

function findFailures(context: Context, outcome: Outcome, offset: LogOffset | null): string[] {
  const { address, verb } = outcome;
  const snapshot = context.firewall.snapshot(address.family);
  const isBlocked = verb === 'add';
  const missing: string[] = [];
  if (snapshot.held.has(address.text) !== isBlocked) {
    missing.push(
      isBlocked ? 'the kernel has no rule for it' : 'the kernel still has a rule for it',
    );
  }
  const { kind, rule } = findVerdict(address, snapshot);
  if (isBlocked && kind !== 'dropped') {
    missing.push(`a rule before ours accepts it: ${rule?.chain ?? 'INPUT'} ${rule?.spec ?? ''}`);
  }
  if (context.responseLog.missing(offset, [outcome]).length > 0) {
    missing.push('active-responses.log has no line for it');
  }
  if ((context.store.bans.find(address)?.phase === 'blocked') !== isBlocked) {
    missing.push('the state does not match');
  }
  return missing;
}

function chainsOf({ firewall }: Context, address: Address): string {
  const chains = firewall.snapshot(address.family).held.get(address.text)?.chains ?? [];
  return chains.length > 0 ? chains.join(' and ') : firewall.backendName;
}
