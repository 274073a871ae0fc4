// Measures what a flood costs: the time of each of its packets, and the share of its packets that other traffic keeps.
// The kernel receives packets in the context of the sending process, so the sender bears the whole cost. The senders
// are Perl programs, because every system has Perl.
import { execFileSync } from 'node:child_process';

const COMMON = String.raw`
  use strict; use Socket; use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);
  sub now { clock_gettime(CLOCK_MONOTONIC) }
  sub flow { my ($source, $to) = @_;
    socket(my $s, PF_INET, SOCK_DGRAM, 0) or die; bind($s, sockaddr_in(0, inet_aton($source))) or die "bind: $!";
    connect($s, sockaddr_in(9, inet_aton($to))) or die "connect: $!"; $s }
  my $payload = 'x' x 64;`;

/** Sends bursts to each address in turn. */
const BURSTS = String.raw`${COMMON}
  my ($source, $rounds, $burst, @to) = @ARGV;
  my @flows = map { flow($source, $_) } @to;
  for my $round (1 .. $rounds) {
    my @took;
    for my $i (map { ($round + $_) % @flows } 0 .. $#flows) {
      my $began = now();
      for (1 .. $burst) { send($flows[$i], $payload, 0) }
      $took[$i] = (now() - $began) / $burst * 1e9;
    }
    print join(' ', map { sprintf '%.1f', $_ } @took), "\n";
  }`;

/**
 * Sends as many packets as possible beside a flood, to each address in turn. The flood has priority, as interrupts
 * have.
 */
const BESIDE = String.raw`${COMMON}
  my ($source, $rounds, $rate, @to) = @ARGV;
  my $seconds = 0.2;
  sub innocent { my ($to, $end) = @_;
    my $s = flow('0.0.0.0', $to); my $sent = 0;
    while (now() < $end) { for (1 .. 20) { send($s, $payload, 0) } $sent += 20 }
    $sent / $seconds }
  sub flood { my ($to, $end) = @_;
    my $s = flow($source, $to); my $next = now();
    while ((my $t = now()) < $end) {
      if ($t < $next) { Time::HiRes::sleep($next - $t); next }
      for (1 .. $rate / 1000) { send($s, $payload, 0) }
      $next = $t > $next + 0.001 ? $t : $next + 0.001;
    } }
  sub beside { my ($to, $flood) = @_;
    my $end = now() + $seconds;
    my $child = open(my $pipe, '-|') // die "fork: $!";
    if ($child == 0) { print innocent($to, $end); exit }
    flood($to, $end) if $flood;
    my $count = <$pipe>; close $pipe; $count }
  $| = 1;
  for my $round (1 .. $rounds) {
    my @kept;
    for my $i (map { ($round + $_) % @to } 0 .. $#to) {
      $kept[$i] = beside($to[$i], 1) / beside($to[$i], 0);
    }
    print join(' ', map { sprintf '%.4f', $_ } @kept), "\n";
  }`;

/** Returns the nanoseconds per packet of bursts from `source`, by round and address. */
export function timeBursts(sender, { source, rounds, burst, addresses }) {
  return run(sender, BURSTS, [source, rounds, burst, ...addresses]);
}

/**
 * Returns the share of its packets that another sender keeps beside a flood of `rate` per second, by round and address.
 */
export function shareBeside(sender, { source, rounds, rate, addresses }) {
  return run(sender, BESIDE, [source, rounds, rate, ...addresses]);
}

/** Runs a program on one processor with real-time priority. Its child processes have ordinary priority. */
function run(sender, program, words) {
  const first = ['taskset', '-c', '0', 'chrt', '--reset-on-fork', '--fifo', '1'];
  const [command, ...args] = sender.inside([...first, 'perl', '-e', program, ...words.map(String)]);
  const lines = execFileSync(command, args, { encoding: 'utf8', maxBuffer: 64 << 20 });
  return lines
    .trim()
    .split('\n')
    .map((line) => line.split(' ').map(Number));
}
