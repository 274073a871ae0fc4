// Checks which other programs change the packet filter, and whether files loaded at boot contain our rules.
import { basename } from 'node:path';
import { SAVED_RULES } from '../../bans/orphans.ts';
import type { Context } from '../../context.ts';
import { droppedSource, readRules } from '../../firewall/iptables/rules.ts';
import { orElse } from '../../model/errors.ts';
import { textOrNull } from '../../system/paths.ts';
import { isFirewalldActive } from '../../system/procfs.ts';
import { ok, problem, warning, type Finding, type Scene } from './check.ts';

/** Other programs that change the packet filter, how to detect them, and how they affect us. */
const NEIGHBOURS = [
  {
    name: 'Docker',
    processes: ['dockerd'],
    chains: /^DOCKER/,
    advice: 'traffic to containers passes DOCKER-USER, where our rules are as well',
  },
  {
    name: 'firewalld',
    processes: ['firewalld'],
    chains: /^(?:INPUT|FORWARD)_(?:direct|ZONES)$/,
    advice: 'its reloads do not touch our table, and our drops are final even if it accepts',
  },
  {
    name: 'ufw',
    processes: [],
    chains: /^ufw6?-/,
    advice:
      'our rules come before its chains; its reloads remove them only with MANAGE_BUILTINS=yes in /etc/default/ufw',
  },
  {
    name: 'fail2ban',
    processes: ['fail2ban-server'],
    chains: /^f2b-/,
    advice:
      'it blocks in its own chains; an address can be blocked by both, and each releases its own',
  },
  {
    name: 'CrowdSec',
    processes: ['crowdsec', 'crowdsec-firewal'],
    chains: /^CROWDSEC/,
    advice:
      'it blocks in its own sets; an address can be blocked by both, and each releases its own',
  },
];

export function neighbours({ context, processes }: Scene): Finding[] {
  const names = [
    // The process of a Python daemon is named after the interpreter; its own name is an argument.
    ...processes.flatMap(({ name, args }) => [
      name,
      ...args.slice(0, 2).map((argument) => basename(argument)),
    ]),
    // `auto` uses the same test to choose the backend.
    ...(isFirewalldActive() ? ['firewalld'] : []),
  ];
  const seen = chainsSeen(context);
  const found = NEIGHBOURS.filter(({ processes, chains }) => {
    return (
      processes.some((name) => names.includes(name)) || seen.some((chain) => chains.test(chain))
    );
  });
  if (found.length === 0) return [ok('no Docker, firewalld, ufw, fail2ban or CrowdSec found')];
  return found.map(({ name, advice }) => {
    if (name === 'Docker') return evaluateDocker(seen, context, advice);
    if (name === 'firewalld' && context.firewall.backendName !== 'nftables') {
      return LOST_TO_FIREWALLD;
    }
    return ok(`${name} found: ${advice}`);
  });
}

function chainsSeen({ firewall }: Context): string[] {
  // The check of the kernel reports the error.
  return orElse([], () => {
    const { rules, policies } = firewall.snapshot(4);
    return [...new Set([...policies.keys(), ...rules.map(({ chain }) => chain)])];
  });
}

/** Holds for FirewallBackend=nftables and iptables: see docs/firewalls.md. */
const LOST_TO_FIREWALLD = warning(
  'firewalld found: each of its reloads removes all iptables rules, including ours; nothing is blocked until firewall-drop restore',
  'set firewall.backend = "auto" or "nftables": the next run migrates all bans into a table that firewalld does not touch',
);

function evaluateDocker(
  chains: readonly string[],
  { firewall, config }: Context,
  advice: string,
): Finding {
  const backend = firewall.backendName;
  if (backend === 'nftables' || (backend === 'ipset' && chains.includes('raw PREROUTING'))) {
    return ok(
      'Docker found: our sets drop traffic to containers before Docker translates addresses',
    );
  }
  if (!chains.includes('DOCKER-USER')) {
    return warning(
      'Docker found, but no chain DOCKER-USER: traffic to containers is dropped only if our rules stay first in FORWARD',
      'let Docker manage iptables ("iptables": true in daemon.json), and check with firewall-drop reconcile --dry-run',
    );
  }
  if (config.firewall.docker) return ok(`Docker found: ${advice}`);
  return warning(
    'Docker found, but firewall.docker is false: blocked addresses can reach published ports',
    'set firewall.docker = true',
  );
}

export function savedRules({ context }: Scene): Finding[] {
  const findings = SAVED_RULES.flatMap((path) => {
    return evaluateSaved(path, textOrNull(path) ?? '', context.config.firewall.setName);
  });
  return findings.length > 0 ? findings : [ok('no saved file contains our rules')];
}

/**
 * Finds our rules in `text`, the output of `iptables-save` in a file. They return at every boot, even after the ban has
 * ended.
 */
export function evaluateSaved(path: string, text: string, setName: string): Finding[] {
  const { rules } = readRules(text);
  const resave = `remove these lines from ${path}: firewall-drop restores its bans itself; see "Reboots" in docs/runbook.md`;
  const ofSets = [`--match-set ${setName}-4 `, `--match-set ${setName}-6 `];
  if (rules.some(({ spec }) => ofSets.some((words) => spec.includes(words)))) {
    const what = `${path} refers to our sets, which do not exist at boot: iptables-restore then loads none of the file`;
    return [problem(what, resave)];
  }
  const inFilter = rules.filter(({ chain }) => !chain.startsWith('raw '));
  const addresses = new Set(inFilter.flatMap(({ spec }) => droppedSource(spec) ?? []));
  if (addresses.size === 0) return [];
  const what = `${path} contains drop rules of our form (${addresses.size}), which return at every boot; restore removes those that it recognises as ours`;
  return [warning(what, resave)];
}
