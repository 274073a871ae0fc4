// Checks which other programs change the packet filter, and whether files that are loaded at boot have rules of ours.
import { basename } from 'node:path';
import { SAVED_RULES } from '../../bans/saved-rules.ts';
import type { Context } from '../../context.ts';
import { droppedSource, readRules } from '../../firewall/iptables/parse.ts';
import { orElse } from '../../model/errors.ts';
import { textOrNull } from '../../system/paths.ts';
import { isFirewalldActive } from '../../system/services.ts';
import { defineCheck, ok, problem, warning, type Finding } from './check.ts';

/** Other programs that change the packet filter, how each is known, and what to know about it. */
const NEIGHBOURS = [
  {
    name: 'Docker',
    processes: ['dockerd'],
    chains: /^DOCKER/,
    advice: 'what goes to containers passes DOCKER-USER, where our rules are as well',
  },
  {
    name: 'firewalld',
    processes: ['firewalld'],
    chains: /^(?:INPUT|FORWARD)_(?:direct|ZONES)$/,
    advice: 'its reloads leave our table alone, and a drop of ours is final whatever it accepts',
  },
  {
    name: 'ufw',
    processes: [],
    chains: /^ufw6?-/,
    advice:
      'our rules stand before its chains; only MANAGE_BUILTINS=yes in /etc/default/ufw has its reloads take them away',
  },
  {
    name: 'fail2ban',
    processes: ['fail2ban-server'],
    chains: /^f2b-/,
    advice: 'it blocks in chains of its own: an address may be in both, and each releases its own',
  },
  {
    name: 'CrowdSec',
    processes: ['crowdsec', 'crowdsec-firewal'],
    chains: /^CROWDSEC/,
    advice: 'it blocks in sets of its own: an address may be in both, and each releases its own',
  },
];

interface NeighbourFacts {
  readonly processes: readonly string[];
  readonly chains: readonly string[];
  readonly usesDockerChain: boolean;
  readonly backend: string;
}

export const neighbours = defineCheck({
  name: 'neighbours',
  probe: ({ context, processes }): NeighbourFacts => ({
    processes: [
      // A daemon written in Python has its own name behind that of the interpreter.
      ...processes.flatMap(({ name, args }) => [
        name,
        ...args.slice(0, 2).map((argument) => basename(argument)),
      ]),
      // The same sign decides which backend `auto` uses.
      ...(isFirewalldActive() ? ['firewalld'] : []),
    ],
    chains: chainsSeen(context),
    usesDockerChain: context.config.firewall.docker,
    backend: context.firewall.backendName,
  }),
  evaluate(facts) {
    const seen = NEIGHBOURS.filter(({ processes, chains }) => {
      return (
        processes.some((name) => facts.processes.includes(name)) ||
        facts.chains.some((chain) => chains.test(chain))
      );
    });
    if (seen.length === 0) return [ok('no Docker, firewalld, ufw, fail2ban or CrowdSec seen')];
    return seen.map(({ name, advice }) => {
      if (name === 'Docker') return evaluateDocker(facts, advice);
      if (name === 'firewalld' && facts.backend !== 'nftables') return LOST_TO_FIREWALLD;
      return ok(`${name} seen: ${advice}`);
    });
  },
});

function chainsSeen({ firewall }: Context): string[] {
  // Where the kernel can't be asked, its own check says why.
  return orElse([], () => {
    const { rules, policies } = firewall.snapshot(4);
    return [...new Set([...policies.keys(), ...rules.map(({ chain }) => chain)])];
  });
}

/** Seen with FirewallBackend nftables and iptables alike: docs/firewalls.md. */
const LOST_TO_FIREWALLD = warning(
  'firewalld seen: each of its reloads removes all rules of iptables, ours too, and nothing is blocked until firewall-drop restore',
  'firewall.backend = "auto" or "nftables": the next run migrates all bans into a table that firewalld leaves alone',
);

function evaluateDocker(facts: NeighbourFacts, advice: string): Finding {
  const { backend, chains, usesDockerChain } = facts;
  if (backend === 'nftables' || (backend === 'ipset' && chains.includes('raw PREROUTING'))) {
    return ok('Docker seen: sets drop what goes to containers before Docker translates it');
  }
  if (!chains.includes('DOCKER-USER')) {
    return warning(
      'Docker seen, and no chain DOCKER-USER: what goes to containers is stopped in FORWARD only if our rules stay first there',
      'let Docker manage iptables ("iptables": true in daemon.json), and see firewall-drop reconcile --dry-run',
    );
  }
  if (usesDockerChain) return ok(`Docker seen: ${advice}`);
  return warning(
    'Docker seen, and firewall.docker is false: addresses that are blocked may reach published ports',
    'set firewall.docker = true',
  );
}

export const savedRules = defineCheck({
  name: 'saved rules',
  probe: ({ context }) => ({
    files: SAVED_RULES.flatMap((path) => {
      const text = textOrNull(path);
      return text === null ? [] : [{ path, ...readSaved(text, context.config.firewall.setName) }];
    }),
  }),
  evaluate({ files }) {
    const findings = files.flatMap(({ path, addresses, setRules }): Finding[] => {
      const resave = `firewall-drop keeps blocks by itself; take these lines out of ${path}: see "Reboots" in docs/runbook.md`;
      if (setRules > 0) {
        const what = `${path} refers to sets of ours, which are not there at boot: iptables-restore then loads nothing of it`;
        return [problem(what, resave)];
      }
      if (addresses.length === 0) return [];
      const what = `${path} has drops of our shape (${addresses.length}): they come back at every boot; restore takes out those that it knows for ours`;
      return [warning(what, resave)];
    });
    return findings.length > 0 ? findings : [ok('no saved rules hold blocks')];
  },
});

/** What a file of `iptables-save` has of ours: it comes back at every boot, whether or not the block is over. */
export function readSaved(
  text: string,
  setName: string,
): { readonly addresses: readonly string[]; readonly setRules: number } {
  const { rules } = readRules(text);
  const inFilter = rules.filter(({ chain }) => !chain.startsWith('raw '));
  const addresses = inFilter.flatMap(({ spec }) => droppedSource(spec) ?? []);
  const asked = [`--match-set ${setName}-4 `, `--match-set ${setName}-6 `];
  return {
    addresses: [...new Set(addresses)],
    setRules: rules.filter(({ spec }) => asked.some((words) => spec.includes(words))).length,
  };
}
