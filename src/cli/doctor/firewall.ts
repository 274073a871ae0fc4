// Checks the firewall programs, and whether the kernel can be queried.
import { basename } from 'node:path';
import { familiesInUse } from '../../bans/reconcile.ts';
import type { Family } from '../../model/address.ts';
import { describeError } from '../../model/errors.ts';
import { CONNTRACK } from '../../firewall/conntrack.ts';
import type { Snapshot } from '../../firewall/backend.ts';
import type { Context } from '../../context.ts';
import { hasIpv6 } from '../../system/net.ts';
import { findProgram, run } from '../../system/exec.ts';
import { ok, problem, warning, type Check, type Finding, type Scene } from './check.ts';
import { realPathOf, textOrNull } from '../../system/paths.ts';

const PROGRAM_TIMEOUT_MS = 5000;

type Variant = 'nft' | 'legacy';

/** The programs, the packages that contain them, and the backends that need them. */
const PROGRAMS = {
  iptables: { from: 'iptables', neededBy: ['iptables', 'ipset'] },
  ip6tables: { from: 'iptables', neededBy: ['iptables', 'ipset'] },
  ipset: { from: 'ipset', neededBy: ['ipset'] },
  nft: { from: 'nftables', neededBy: ['nftables'] },
} as const;

/** Returns the check of one program. Each has its own, so that the output names the missing one. */
export function installed(check: keyof typeof PROGRAMS): Check {
  const { from, neededBy } = PROGRAMS[check];
  return ({ context }) => {
    const isTables = check.endsWith('tables');
    const program = isTables ? restoreProgram(check, context) : check;
    const path = findProgram(program);
    // A backend that is wanted but not yet in use needs its program as well.
    const backends = [context.firewall.backendName, context.choice().wanted];
    const isOfBackend = neededBy.some((name) => backends.some((backend) => backend === name));
    // A ban from a time when the host had IPv6 is also released with that program.
    const usesIpv6 = hasIpv6() || familiesInUse(context.store).includes(6);
    const isNeeded = isOfBackend && (check !== 'ip6tables' || usesIpv6);
    if (path !== null) {
      const variant = isTables ? variantOf(path) : null;
      return ok(
        `${path}${variant === null ? '' : ` (${variant})`}${isNeeded ? '' : ', not needed'}`,
      );
    }
    if (!isNeeded) return ok(`${program} is not installed, and not needed`);
    return problem(
      `${program} is not installed, but the backend needs it`,
      `apt-get install ${from}, dnf install ${from}, or choose another firewall.backend`,
    );
  };
}

function restoreProgram(base: string, { config }: Context): string {
  const { variant } = config.firewall;
  return variant === 'auto' ? `${base}-restore` : `${base}-${variant}-restore`;
}

function variantOf(path: string): Variant | null {
  const target = basename(realPathOf(path));
  if (target.includes('nft')) return 'nft';
  return target.includes('legacy') ? 'legacy' : null;
}

/** Has no finding unless firewall.kill_connections is true. */
export function connections({ context }: Scene): Finding[] {
  if (!context.config.firewall.killConnections) return [];
  const path = findProgram(CONNTRACK);
  if (path !== null) return [ok(`${path} deletes the tracked connections of blocked addresses`)];
  return [
    warning(
      `firewall.kill_connections is true, but ${CONNTRACK} is not installed: open connections stay tracked`,
      'apt-get install conntrack, dnf install conntrack-tools, or set firewall.kill_connections = false',
    ),
  ];
}

export function variants({ context }: Scene): Finding {
  const path = findProgram(restoreProgram('iptables', context));
  const legacyTables = (textOrNull('/proc/net/ip_tables_names') ?? '').split('\n');
  return evaluateVariants(path === null ? null : variantOf(path), {
    legacy: legacyTables.includes('filter'),
    nft: findProgram('nft') !== null && nftHasFilter(),
  });
}

/** `hasFilter` says which variants have a filter table. */
export function evaluateVariants(
  used: Variant | null,
  hasFilter: Readonly<Record<Variant, boolean>>,
): Finding {
  if (used === null) return ok('no variant of iptables is in use');
  const other = used === 'nft' ? 'legacy' : 'nft';
  if (!hasFilter[other]) return ok(`only ${used} is in use`);
  return warning(
    `firewall-drop uses iptables-${used}, but iptables-${other} has a filter table as well: both filter every packet, and each program sees only its own rules`,
    `find out what uses iptables-${other} (iptables-${other}-save shows its rules), and use only one variant: update-alternatives --config iptables, or firewall.variant`,
  );
}

function nftHasFilter(): boolean {
  const command = { program: 'nft', args: ['list', 'tables'], input: '' };
  return /^table ip filter$/m.test(run(command, PROGRAM_TIMEOUT_MS).stdout);
}

export function kernel({ context }: Scene): Finding[] {
  const families: readonly Family[] = hasIpv6() ? [4, 6] : [4];
  return evaluateKernel(families, context);
}

export function evaluateKernel(
  families: readonly Family[],
  { firewall, config }: Pick<Context, 'firewall' | 'config'>,
): Finding[] {
  const backend = firewall.backendName;
  const found = families.map((family) => askKernel(family, firewall, config));
  const problems = found.flat().filter(({ state }) => state === 'problem');
  if (problems.length > 0) return problems;
  const release = (textOrNull('/proc/sys/kernel/osrelease') ?? '').trim();
  const names = families.map((family) => `IPv${family}`).join(' and ');
  return [ok(`Linux ${release} filters ${names} through ${backend}`), ...found.flat()];
}

/** The built-in chains. They exist even if they are not listed because their table is still empty. */
const BUILT_IN: readonly string[] = ['INPUT', 'FORWARD', 'OUTPUT'];

/** Takes a snapshot of the kernel, because blocking relies on the same queries; a list of modules would prove less. */
function askKernel(
  family: Family,
  firewall: Context['firewall'],
  config: Context['config'],
): Finding[] {
  const { backendName } = firewall;
  let policies: Snapshot['policies'];
  try {
    ({ policies } = firewall.snapshot(family));
  } catch (error) {
    const what = `IPv${family} can't be filtered through ${backendName}: ${describeError(error)}`;
    const fix =
      "fix the cause; missing modules come with the kernel's package, for a container on its host";
    return [problem(what, fix)];
  }
  const hasRaw = backendName !== 'ipset' || policies.has('raw PREROUTING');
  const inFilter = backendName === 'iptables' || !hasRaw;
  const missing = config.firewall.chains.filter((chain) => {
    return inFilter && !BUILT_IN.includes(chain) && !policies.has(chain);
  });
  return [
    ...missing.map((chain) => missingChain(family, chain)),
    ...(hasRaw ? [] : [withoutRaw(family)]),
  ];
}

function missingChain(family: Family, chain: string): Finding {
  const program = family === 4 ? 'iptables' : 'ip6tables';
  return problem(
    `firewall.chains names ${chain}, but IPv${family} has no such chain: no address can be blocked`,
    `create it with ${program} -N ${chain} and a rule that jumps to it, or remove it from firewall.chains`,
  );
}

function withoutRaw(family: Family): Finding {
  const module = family === 4 ? 'iptable_raw' : 'ip6table_raw';
  return warning(
    `the kernel has no raw table for IPv${family}: the rule for our set is in the filter table, where dropping a packet costs more`,
    `modprobe ${module} if the kernel has that module, or set firewall.backend = "nftables"`,
  );
}
