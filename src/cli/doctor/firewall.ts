// Checks the firewall programs, and whether the kernel can be queried.
import { basename } from 'node:path';
import { familiesInUse } from '../../bans/reconcile.ts';
import type { Family } from '../../model/address.ts';
import { describeError } from '../../model/errors.ts';
import { CONNTRACK } from '../../firewall/conntrack.ts';
import type { Context } from '../../context.ts';
import { hasIpv6 } from '../../system/net.ts';
import { findProgram, run } from '../../system/exec.ts';
import { defineCheck, ok, problem, warning, type Finding } from './check.ts';
import { realPathOf, textOrNull } from '../../system/paths.ts';

const PROGRAM_TIMEOUT_MS = 5000;

export type Variant = 'nft' | 'legacy';

/** One check per program, so that the output names the missing one. */
const PROGRAMS = [
  { check: 'iptables', from: 'iptables', neededBy: ['iptables', 'ipset'] },
  { check: 'ip6tables', from: 'iptables', neededBy: ['iptables', 'ipset'] },
  { check: 'ipset', from: 'ipset', neededBy: ['ipset'] },
  { check: 'nft', from: 'nftables', neededBy: ['nftables'] },
] as const;

export const programs = PROGRAMS.map(({ check, from, neededBy }) =>
  defineCheck({
    name: check,
    probe: ({ context }) => {
      const isTables = check.endsWith('tables');
      const program = isTables ? restoreProgram(check, context) : check;
      const path = findProgram(program);
      // A backend that is wanted but not yet in use needs its program as well.
      const backends = [context.firewall.backendName, context.choice().wanted];
      const isOfBackend = neededBy.some((name) => backends.some((backend) => backend === name));
      // A ban from a time when the host had IPv6 is also released with that program.
      const usesIpv6 = hasIpv6() || familiesInUse(context.store).includes(6);
      const isNeeded = isOfBackend && (check !== 'ip6tables' || usesIpv6);
      const variant = path !== null && isTables ? variantOf(path) : null;
      return { program, path, variant, isNeeded, from };
    },
    evaluate({ program, path, variant, isNeeded, from }) {
      const which = variant === null ? '' : ` (${variant})`;
      if (path !== null) return ok(`${path}${which}${isNeeded ? '' : ', not needed'}`);
      if (!isNeeded) return ok(`${program} is not installed, and not needed`);
      return problem(
        `${program} is not installed, but the backend needs it`,
        `apt-get install ${from}, dnf install ${from}, or choose another firewall.backend`,
      );
    },
  }),
);

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
export const connections = defineCheck({
  name: 'connections',
  probe: ({ context }) => ({
    isEnabled: context.config.firewall.killConnections,
    path: findProgram(CONNTRACK),
  }),
  evaluate: ({ isEnabled, path }) => {
    if (!isEnabled) return [];
    if (path !== null) return ok(`${path} deletes the tracked connections of blocked addresses`);
    return warning(
      `firewall.kill_connections is true, but ${CONNTRACK} is not installed: open connections stay tracked`,
      'apt-get install conntrack, dnf install conntrack-tools, or set firewall.kill_connections = false',
    );
  },
});

export const variants = defineCheck({
  name: 'variants',
  probe: ({ context }) => {
    const path = findProgram(restoreProgram('iptables', context));
    const names = textOrNull('/proc/net/ip_tables_names') ?? '';
    return {
      used: path === null ? null : variantOf(path),
      legacyTables: names.split('\n').filter((name) => name !== ''),
      /** null if unknown because nft is not installed. */
      hasNftFilter: findProgram('nft') === null ? null : nftHasFilter(),
    };
  },
  evaluate({ used, legacyTables, hasNftFilter }) {
    const legacy = legacyTables.includes('filter');
    const both = (other: Variant): Finding =>
      warning(
        `firewall-drop uses iptables-${used ?? ''}, but iptables-${other} has a filter table as well: both filter every packet, and each program sees only its own rules`,
        `find out what uses iptables-${other} (iptables-${other}-save shows its rules), and use only one variant: update-alternatives --config iptables, or firewall.variant`,
      );
    if (used === 'nft' && legacy) return both('legacy');
    if (used === 'legacy' && hasNftFilter === true) return both('nft');
    return ok(used === null ? 'no variant of iptables is in use' : `only ${used} is in use`);
  },
});

function nftHasFilter(): boolean {
  const command = { program: 'nft', args: ['list', 'tables'], input: '' };
  return /^table ip filter$/m.test(run(command, PROGRAM_TIMEOUT_MS).stdout);
}

export const kernel = defineCheck({
  name: 'kernel',
  probe: ({ context }) => ({
    release: (textOrNull('/proc/sys/kernel/osrelease') ?? '').trim(),
    backend: context.firewall.backendName,
    answers: (hasIpv6() ? ([4, 6] as const) : ([4] as const)).map((family) =>
      askKernel(context, family),
    ),
  }),
  evaluate({ release, backend, answers }) {
    const findings = answers.flatMap(({ family, trouble, missing }): Finding[] => {
      if (trouble !== '') {
        const what = `IPv${family} can't be filtered through ${backend}: ${trouble}`;
        const fix =
          "fix the cause; missing modules come with the kernel's package, for a container on its host";
        return [problem(what, fix)];
      }
      return missing.map((chain) => {
        const what = `firewall.chains names ${chain}, but IPv${family} has no such chain: no address can be blocked`;
        const program = family === 4 ? 'iptables' : 'ip6tables';
        const fix = `create it with ${program} -N ${chain} and a rule that jumps to it, or remove it from firewall.chains`;
        return problem(what, fix);
      });
    });
    if (findings.length > 0) return findings;
    const families = answers.map(({ family }) => `IPv${family}`).join(' and ');
    const inFilter = answers.flatMap(({ family, hasRaw }) => {
      if (hasRaw) return [];
      const what = `the kernel has no raw table for IPv${family}: the rule for our set is in the filter table, where dropping a packet costs more`;
      const module = family === 4 ? 'iptable_raw' : 'ip6table_raw';
      const fix = `modprobe ${module} if the kernel has that module, or set firewall.backend = "nftables"`;
      return warning(what, fix);
    });
    return [ok(`Linux ${release} filters ${families} through ${backend}`), ...inFilter];
  },
});

/** The built-in chains. They exist even if they are not listed because their table is still empty. */
const BUILT_IN: readonly string[] = ['INPUT', 'FORWARD', 'OUTPUT'];

/**
 * Takes a snapshot of the kernel, because blocking relies on the same queries; a list of modules would prove less.
 * Without a raw table, the rule for our set is in the filter table. `missing` lists the configured chains that do not
 * exist.
 */
function askKernel({ firewall, config }: Context, family: Family) {
  try {
    const { policies } = firewall.snapshot(family);
    const hasRaw = firewall.backendName !== 'ipset' || policies.has('raw PREROUTING');
    const inFilter = firewall.backendName === 'iptables' || !hasRaw;
    const chains = inFilter ? config.firewall.chains : [];
    const missing = chains.filter((chain) => !BUILT_IN.includes(chain) && !policies.has(chain));
    return { family, trouble: '', hasRaw, missing };
  } catch (error) {
    return { family, trouble: describeError(error), hasRaw: true, missing: [] };
  }
}
