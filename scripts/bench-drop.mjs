// What a dropped packet costs the kernel, by where it is dropped, beside the floor: a packet that no firewall sees.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { parseArgs } from 'node:util';
import * as machine from './lib/bench/machine.mjs';
import { plugIn } from './lib/bench/packets.mjs';

const { HOME, PROGRAM, WORK } = machine;
const USAGE = 'usage: npm run bench:drop [-- --bans N --rounds N --json]';
/** The sender: one of the bans. */
const SOURCE = '198.18.0.0';
/** Short, so that interrupts meet few of them. */
const BURST = 1000;
const SET = '-m set --match-set firewall-drop-4 src -j DROP';

/** In place of what our program made there: where its earlier versions dropped, and others do. */
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
  { name: 'nftables, prerouting -310 (ours)', backend: 'nftables' },
];

/** Times bursts of UDP to each address in turn, from the banned one; prints nanoseconds per packet, a line a round. */
const SENDER = String.raw`
  use strict; use Socket; use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);
  my ($source, $rounds, $burst, @to) = @ARGV;
  my @sockets = map {
    socket(my $s, PF_INET, SOCK_DGRAM, 0) or die; bind($s, sockaddr_in(0, inet_aton($source))) or die "bind: $!";
    connect($s, sockaddr_in(9, inet_aton($_))) or die "connect: $!"; $s } @to;
  my $payload = 'x' x 64;
  for my $round (1 .. $rounds) {
    my @took;
    for my $i (map { ($round + $_) % @sockets } 0 .. $#sockets) {
      my $s = $sockets[$i];
      my $began = clock_gettime(CLOCK_MONOTONIC);
      for (1 .. $burst) { send($s, $payload, 0) }
      $took[$i] = (clock_gettime(CLOCK_MONOTONIC) - $began) / $burst * 1e9;
    }
    print join(' ', map { sprintf '%.1f', $_ } @took), "\n";
  }`;

function fail(message) {
  console.error(`bench-drop: ${message}`);
  process.exit(1);
}

function readOptions() {
  try {
    const options = {
      bans: { type: 'string', default: '10000' },
      rounds: { type: 'string', default: '4000' },
      json: { type: 'boolean', default: false },
      inside: { type: 'boolean', default: false },
    };
    const { bans, rounds, ...rest } = parseArgs({ options }).values;
    for (const [name, text] of Object.entries({ bans, rounds })) {
      if (!/^[1-9]\d{0,4}$/.test(text)) throw new Error(`--${name} is not a number up to 99999`);
    }
    return { bans: Number(bans), rounds: Number(rounds), ...rest };
  } catch (error) {
    return fail(`${error.message}\n${USAGE}`);
  }
}

function must(host, script) {
  const [program, ...rest] = host.inside(['bash', '-ec', script]);
  return execFileSync(program, rest, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
}

/** A host with the bans, that tracks connections as hosts with a firewall do; returns its address. */
async function layOut({ backend, instead, isFloor }, index, { sender, bans }) {
  const host = await machine.startHost();
  machine.installAgent(host.path(''));
  fs.mkdirSync(host.path('/etc/firewall-drop'), { recursive: true });
  fs.writeFileSync(
    host.path('/etc/firewall-drop/config.toml'),
    `[firewall]\nbackend = "${backend}"\n`,
  );
  const address = plugIn(sender, host, index);
  const list = Array.from({ length: bans }, (_, n) => `198.18.${n >> 8}.${n & 255}\n`).join('');
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

/** Throws unless what is sent there is dropped where it is meant to be. */
function expectDropped({ host }, { name, isFloor = false }) {
  const text = must(
    host,
    'iptables-save -c; nft list set inet firewall_drop blocked4_32 2>/dev/null || true; ipset list firewall-drop-4 2>/dev/null | grep -m 1 "packets [1-9]" || true',
  );
  const isCounted = /packets [1-9]/.test(text);
  if (isCounted === isFloor)
    throw new Error(`${name}: packets are not dropped where they should be`);
}

async function measure({ bans, rounds }) {
  machine.hideMachine();
  const sender = await machine.startHost();
  must(sender, `ip address add ${SOURCE}/32 dev lo`);
  const hosts = [];
  for (const [index, place] of PLACES.entries()) {
    hosts.push(await layOut(place, index, { sender, bans }));
  }
  const words = [SOURCE, String(rounds), String(BURST), ...hosts.map(({ address }) => address)];
  // The kernel receives in the context of who sends: nobody else is let in between.
  const [program, ...rest] = sender.inside(['chrt', '--fifo', '1', 'perl', '-e', SENDER, ...words]);
  const lines = execFileSync(program, rest, { encoding: 'utf8', maxBuffer: 64 << 20 });
  hosts.forEach((host, index) => expectDropped(host, PLACES[index]));
  await Promise.all([sender, ...hosts.map(({ host }) => host)].map((host) => host.stop()));
  const all = lines
    .trim()
    .split('\n')
    .map((line) => line.split(' ').map(Number));
  return PLACES.map(({ name }, index) => ({ name, ...overFloor(all, index) }));
}

/** Quartiles of what a packet costs beyond the floor of its own round. */
function overFloor(all, index) {
  const costs = all.map((round) => round[index] - round[0]).sort((a, b) => a - b);
  const at = (share) => costs[Math.floor((costs.length - 1) * share)];
  return { medianNs: at(0.5), lowNs: at(0.25), highNs: at(0.75) };
}

function print(results, { bans, rounds }) {
  console.log(
    `${bans} bans, ${rounds} rounds of ${BURST} packets to each; ns per packet beyond the floor`,
  );
  const input = results[1].medianNs;
  for (const { name, medianNs, lowNs, highNs } of results.slice(1)) {
    const ratio = (medianNs / input).toFixed(2);
    const range = `${lowNs.toFixed(0)} to ${highNs.toFixed(0)}`;
    console.log(`${name.padEnd(34)} ${medianNs.toFixed(0).padStart(5)}  (${range})  ×${ratio}`);
  }
}

const options = readOptions();
if (!options.inside) machine.enterNamespaces(import.meta.filename);
else {
  const results = await measure(options);
  if (options.json) console.log(JSON.stringify({ ...options, results }));
  else print(results, options);
}
