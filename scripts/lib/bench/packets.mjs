// Measures how many small packets per second a host receives from one sender at full speed.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';

const PORT = 5201;
export const PAYLOAD_BYTES = 64;

/** Connects a host to the sender with a veth pair. Returns the host's address. */
export function plugIn(sender, host, index) {
  const subnet = (last) => `192.0.2.${4 * index + last}`;
  const [near, far] = [`host${index}`, 'cable'];
  const ip = (where, line) => execFileSync(...split(where.inside(['ip', ...line.split(' ')])));
  ip(sender, `link add ${near} type veth peer name ${far} netns ${host.pid}`);
  ip(sender, `address add ${subnet(1)}/30 dev ${near}`);
  ip(sender, `link set ${near} up`);
  ip(host, `address add ${subnet(2)}/30 dev ${far}`);
  ip(host, `link set ${far} up`);
  return subnet(2);
}

/** Starts a listener, which ends with the host. */
export async function listen(host) {
  const server = host.inside(['iperf3', '--server', '--port', String(PORT), '--forceflush']);
  const child = spawn(server[0], server.slice(1), { stdio: ['ignore', 'pipe', 'inherit'] });
  const [first] = await Promise.race([once(child.stdout, 'data'), once(child, 'close')]);
  if (!Buffer.isBuffer(first)) throw new Error('iperf3 did not start. Run: scripts/setup bench');
  child.stdout.resume();
  child.unref();
  child.stdout.unref?.();
}

/** Returns the packets per second that passed the firewall to the host's IP layer while a sender sent for `seconds`. */
export function receive(sender, host, address, seconds) {
  const load = ['--udp', '--bitrate', '0', '--length', String(PAYLOAD_BYTES)];
  const words = ['--client', address, '--port', String(PORT), '--time', String(seconds), '--json'];
  const before = delivered(host);
  const client = split(sender.inside(['iperf3', ...words, ...load]));
  const { end } = JSON.parse(execFileSync(...client, { encoding: 'utf8' }));
  return (delivered(host) - before) / end.sum.seconds;
}

/** Returns `InDelivers` of IPv4; see the kernel's Documentation/networking/snmp_counter.rst. */
function delivered({ pid }) {
  const lines = fs.readFileSync(`/proc/${pid}/net/snmp`, 'utf8').split('\n');
  const [names, values] = lines.filter((line) => line.startsWith('Ip:'));
  return Number(values.split(' ')[names.split(' ').indexOf('InDelivers')]);
}

function split([program, ...rest]) {
  return [program, rest];
}
