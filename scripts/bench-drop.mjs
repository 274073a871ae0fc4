// Measures what a dropped packet costs the kernel at different hooks, beyond a packet that no firewall sees, and what
// share of its packets other traffic keeps while such packets flood the host.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { parseArgs } from 'node:util';
import { shareBeside, timeBursts } from './lib/bench/flood.mjs';
import * as machine from './lib/bench/machine.mjs';
import { plugIn } from './lib/bench/packets.mjs';

const { HOME, PROGRAM, WORK } = machine;
const USAGE = 'usage: npm run bench:drop [-- --bans N --rounds N --flood PACKETS_A_SECOND --json]';
/** The address of the sender, which is banned. */
const SOURCE = '198.18.0.0';
/** Packets in a burst: few, so that interrupts disturb few bursts. */
const BURST = 1000;
const FLOOD_ROUNDS = 20;
/** The largest number of bans as plain rules. */
const MOST_PLAIN = 1000;
const SET = '-m set --match-set firewall-drop-4 src -j DROP';

/**
 * The places to drop. The commands of `instead` replace what firewall-drop installed: other hooks, and lower bounds at
 * the same hook.
 */
const PLACES = [
  { name: 'no firewall sees it', backend: 'ipset', isFloor: true },
  {
    name: 'ipset, INPUT',
    backend: 'ipset',
    instead: `iptables -t raw -F; iptables -I INPUT ${SET}`,
  },
  { name: 'ipset, raw PREROUTING (ours)', backend: 'ipset' },
  {
    name: 'nftables, input',
    backend: 'nftables',
    instead: `nft flush chain inet firewall_drop prerouting
      nft add chain inet firewall_drop input '{ type filter hook input priority -10; }'
      nft add rule inet firewall_drop input ip saddr @blocked4_32 drop`,
  },
  { name: 'nftables, prerouting -450 (ours)', backend: 'nftables' },
  {
    name: 'ipset, raw, hash:ip, no counters',
    backend: 'ipset',
    instead: `iptables -t raw -F
      ipset create least hash:ip maxelem 100000
      ipset save firewall-drop-4 | sed -nE 's/^add [^ ]+ ([^ ]+) .*/add least \\1/p' | ipset restore
      iptables -t raw -I PREROUTING -m set --match-set least src -j DROP`,
  },
  {
    name: 'nftables, -450, no counters',
    backend: 'nftables',
    instead: `nft flush chain inet firewall_drop prerouting
      nft add set inet firewall_drop least '{ type ipv4_addr; flags timeout; size 100000; }'
      { echo 'add element inet firewall_drop least {'
        nft list set inet firewall_drop blocked4_32 | grep -oE '[0-9]+(\\.[0-9]+){3}' | sed 's/$/,/'
        echo '}'; } | nft -f -
      nft add rule inet firewall_drop prerouting ip saddr @least drop`,
    isUncounted: true,
  },
  {
    name: 'all packets, prerouting -450',
    backend: 'nftables',
    instead: `nft flush chain inet firewall_drop prerouting
      nft add rule inet firewall_drop prerouting ip saddr ${SOURCE}/15 counter drop`,
  },
  {
    name: 'all packets, at the device',
    backend: 'nftables',
    instead: `nft flush chain inet firewall_drop prerouting
      nft add table netdev least
      nft add chain netdev least ingress '{ type filter hook ingress device cable priority 0; }'
      nft add rule netdev least ingress ip saddr ${SOURCE}/15 counter drop`,
  },
  { name: 'plain rules (ours)', backend: 'iptables' },
];

function fail(message) {
  console.error(`bench-drop: ${message}`);
  process.exit(1);
}

function readOptions() {
  try {
    const options = {
      bans: { type: 'string', default: '10000' },
      rounds: { type: 'string', default: '4000' },
      flood: { type: 'string', default: '90000' },
      json: { type: 'boolean', default: false },
      inside: { type: 'boolean', default: false },
    };
    const { bans, rounds, flood, ...rest } = parseArgs({ options }).values;
    for (const [name, text] of Object.entries({ bans, rounds, flood })) {
      if (!/^[1-9]\d{0,4}$/.test(text)) throw new Error(`--${name} is not a number up to 99999`);
    }
    return { bans: Number(bans), rounds: Number(rounds), flood: Number(flood), ...rest };
  } catch (error) {
    return fail(`${error.message}\n${USAGE}`);
  }
}

function must(host, script) {
  const [program, ...rest] = host.inside(['bash', '-ec', script]);
  return execFileSync(program, rest, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
}

/**
 * Makes a host with the bans, which tracks connections as hosts with a firewall do. Returns the host and its address.
 */
async function layOut({ backend, instead, isFloor }, index, { sender, bans }) {
  const host = await machine.startHost();
  machine.installAgent(host.path(''));
  fs.mkdirSync(host.path('/etc/firewall-drop'), { recursive: true });
  fs.writeFileSync(
    host.path('/etc/firewall-drop/config.toml'),
    `[firewall]\nbackend = "${backend}"\n`,
  );
  const address = plugIn(sender, host, index);
  const length = backend === 'iptables' ? Math.min(bans, MOST_PLAIN) : bans;
  const list = Array.from({ length }, (_, n) => `198.18.${n >> 8}.${n & 255}\n`).join('');
  fs.mkdirSync(host.path(WORK), { recursive: true });
  fs.writeFileSync(host.path(`${WORK}/list`), list);
  must(
    host,
    `ip route add ${SOURCE}/15 dev cable
    for each in all default cable; do echo 0 >/proc/sys/net/ipv4/conf/$each/rp_filter; done
    iptables -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT
    ${HOME}/${PROGRAM} add --file ${WORK}/list
    ${instead ?? ''}`,
  );
  const link = isFloor
    ? '02:00:00:00:00:01'
    : JSON.parse(must(host, 'ip -j link show cable'))[0].address;
  must(sender, `ip neighbour replace ${address} lladdr ${link} dev host${index} nud permanent`);
  return { host, address };
}

/** Throws if the packets to a host were not dropped at the intended hook. */
function expectDropped({ host }, { name, isFloor = false, isUncounted = false }) {
  const counters = `iptables-save -c | sed -nE 's/^\\[([0-9]+):.* -j DROP$/packets \\1/p'
    nft list ruleset 2>/dev/null | grep -o 'packets [0-9]*' || true
    ipset list firewall-drop-4 2>/dev/null | grep -o 'packets [0-9]*' || true`;
  const isCounted = /packets [1-9]/.test(must(host, counters));
  // The first number after `Udp:` counts delivered packets, the second packets for a port that nobody listens on.
  const arrived = /^Udp: [1-9]|^Udp: 0 [1-9]/m.test(must(host, 'cat /proc/net/snmp'));
  if (arrived || isCounted === (isFloor || isUncounted))
    throw new Error(`${name}: packets are not dropped where they should be`);
}

async function measure({ bans, rounds, flood }) {
  machine.hideMachine();
  const sender = await machine.startHost();
  must(sender, `ip address add ${SOURCE}/32 dev lo`);
  const hosts = [];
  for (const [index, place] of PLACES.entries()) {
    hosts.push(await layOut(place, index, { sender, bans }));
  }
  const order = { source: SOURCE, addresses: hosts.map(({ address }) => address) };
  const costs = timeBursts(sender, { ...order, rounds, burst: BURST });
  hosts.forEach((host, index) => expectDropped(host, PLACES[index]));
  const shares = shareBeside(sender, { ...order, rounds: FLOOD_ROUNDS, rate: flood });
  await Promise.all([sender, ...hosts.map(({ host }) => host)].map((host) => host.stop()));
  return PLACES.map(({ name }, index) => {
    const [lowNs, medianNs, highNs] = quartiles(costs.map((round) => round[index] - round[0]));
    return {
      name,
      medianNs,
      lowNs,
      highNs,
      kept: quartiles(shares.map((round) => round[index]))[1],
    };
  });
}

function quartiles(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b);
  return [0.25, 0.5, 0.75].map((share) => sorted[Math.floor((sorted.length - 1) * share)]);
}

function print(results, { bans, rounds, flood }) {
  console.log(
    `${bans} bans (${Math.min(bans, MOST_PLAIN)} plain rules), ${rounds} rounds of ${BURST} packets to each
ns: time for a packet beyond one that no firewall sees; ×: ratio to ipset in INPUT
kept: share of its packets that another sender keeps while ${flood} a second flood the same processor`,
  );
  const input = results[1].medianNs;
  for (const [index, { name, medianNs, lowNs, highNs, kept }] of results.entries()) {
    const ratio = (medianNs / input).toFixed(2);
    const range = `${lowNs.toFixed(0)} to ${highNs.toFixed(0)}`;
    const cost =
      index === 0 ? 'lower bound' : `${medianNs.toFixed(0).padStart(6)} ns  (${range})  ×${ratio}`;
    console.log(`${name.padEnd(34)} ${cost.padEnd(40)} kept ${(kept * 100).toFixed(0)} %`);
  }
}

const options = readOptions();
if (!options.inside) machine.enterNamespaces(import.meta.filename);
else {
  const results = await measure(options);
  if (options.json) console.log(JSON.stringify({ ...options, results }));
  else print(results, options);
}
