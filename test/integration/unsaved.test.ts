/** Checks that bans made while the state can't be written end on time. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { ATTACKER } from '../support/alerts.ts';
import { BACKENDS, flushKernel, readKernel } from '../support/kernel.ts';
import { eventually } from '../support/wait.ts';
import { createVictim, ossecLine, STATE_DIRECTORY, type Victim } from '../support/victim.ts';

const A = ATTACKER;
const B = '198.51.100.9';

let victim: Victim;
beforeAll(async () => {
  victim = await createVictim();
});
afterAll(() => victim.dispose());
beforeEach(() => {
  victim.reset();
  flushKernel(victim.host);
});

/** Returns the addresses of each backend in the kernel. */
function held(): Record<string, string[]> {
  const kernel = readKernel(victim.host);
  return Object.fromEntries(BACKENDS.map((name) => [name, [...kernel[name].keys()]]));
}

test.each(BACKENDS)(
  'an address that was never in a state is released where %s blocked it',
  (backend) => {
    victim.configure(`[firewall]\nbackend = "${backend}"\n`);
    victim.host.mkdir(STATE_DIRECTORY, { mode: '0777' });
    expect([victim.add(A).status, victim.add(B).status]).toEqual([0, 0]);
    expect(held()).toEqual({ iptables: [], ipset: [], nftables: [], [backend]: expect.anything() });
    expect([victim.delete(A).status, victim.delete(B).status]).toEqual([0, 0]);
    expect(held()).toEqual({ iptables: [], ipset: [], nftables: [] });
  },
);

test.each(['ipset', 'nftables'])(
  'bans that `auto` has migrated to %s are released there while the state can’t be read, and new ones are added there',
  (name) => {
    const without = name === 'nftables' ? 'mount --bind /dev/null /usr/sbin/ipset' : 'true';
    victim.host.must(['bash', '-c', without]);
    victim.configure('[firewall]\npromote_at = 1\n');
    expect(victim.person(['add', A, B]).status).toBe(0);
    victim.host.must(['chmod', '0777', STATE_DIRECTORY]);
    expect([victim.delete(A).status, victim.add('203.0.113.8').status]).toEqual([0, 0]);
    const answers = [A, B, '203.0.113.8'].map((one) => victim.person(['is-blocked', one]).status);
    expect(answers).toEqual([1, 0, 0]);
    victim.host.must(['chmod', '0700', STATE_DIRECTORY]);
    expect(victim.delete('203.0.113.8').status).toBe(0);
    victim.host.run(['umount', '/usr/sbin/ipset']);
    expect(held()).toEqual({ iptables: [], ipset: [], nftables: [], [name]: [B] });
    expect(victim.bans().map(({ address }) => address)).toEqual([B]);
  },
);

test('no sets are removed as unknown while the state can’t be read', () => {
  victim.configure('[firewall]\nbackend = "ipset"\n');
  expect(victim.person(['add', A]).status).toBe(0);
  victim.configure('[firewall]\nbackend = "nftables"\n');
  victim.host.must(['chmod', '0777', STATE_DIRECTORY]);
  expect(victim.person(['reconcile']).status).toBe(74);
  expect(held()).toEqual({ iptables: [], ipset: [A], nftables: [] });
});

test('a change of firewall.backend on a full disk waits until there is space', () => {
  const [[, fillDisk, makeRoom]] = CAUSES;
  fillDisk();
  try {
    victim.configure('[firewall]\nbackend = "nftables"\n');
    const { status, stderr } = victim.person(['expire']);
    expect(status).toBe(0);
    expect(stderr).toContain(
      "the state can't be written, so it could not record which backend holds the bans",
    );
    expect(victim.add(A).status).toBe(0);
    expect(held()).toEqual({ iptables: [A, B], ipset: [], nftables: [] });
    expect(victim.delete(A).status).toBe(0);
    makeRoom();
    expect(victim.person(['expire']).status).toBe(0);
    expect(held()).toEqual({ iptables: [], ipset: [], nftables: [B] });
  } finally {
    victim.host.run(['umount', STATE_DIRECTORY]);
  }
});

type Cause = readonly [string, breakState: () => void, repairState: () => void, status: 0 | 74];

/**
 * The causes that make the state unwritable, with functions that start and end each, and the exit status of `expire`,
 * which tells whether the state can at least be read.
 */
const CAUSES: readonly [Cause, Cause] = [
  [
    'on a full disk',
    () => {
      victim.host.mkdir(STATE_DIRECTORY, { mode: '0700' });
      const small = ['-o', 'size=512k,mode=0700', 'tmpfs', STATE_DIRECTORY];
      victim.host.must(['mount', '-t', 'tmpfs', ...small]);
      victim.person(['add', B]);
      victim.host.run(['dd', 'if=/dev/zero', `of=${STATE_DIRECTORY}/full`]);
    },
    () => {
      victim.host.remove(`${STATE_DIRECTORY}/full`);
    },
    0,
  ],
  [
    'in a directory of another user',
    () => {
      victim.person(['add', B]);
      victim.host.must(['chown', '1001', STATE_DIRECTORY]);
    },
    () => {
      victim.host.must(['chown', '0', STATE_DIRECTORY]);
    },
    74,
  ],
];

describe.each(CAUSES)('with the state %s', (_, breakState, repairState, status) => {
  beforeEach(breakState);
  afterEach(() => {
    victim.host.run(['umount', STATE_DIRECTORY]);
  });

  /** Waits for the end of a ban of one second. The test cannot change a deadline that is not in the state. */
  const aSecond = async (): Promise<void> => {
    const beganMs = Date.now();
    await eventually('a second to pass', () => Date.now() > beganMs + 1000);
  };

  test('expire ends a ban while the state can’t be written', async () => {
    expect(victim.person(['add', A, '--timeout', '1s']).status).toBe(0);
    expect(victim.log()).toContainEqual(expect.stringMatching(ossecLine('add', A)));
    await aSecond();
    expect(victim.person(['expire']).status).toBe(status);
    expect(victim.rules(A)).toEqual([]);
    expect(victim.rules(B)).toHaveLength(2);
  });

  test('a ban is saved once the state can be written, and ends on time', async () => {
    expect(victim.person(['add', A, '--timeout', '1s']).status).toBe(0);
    repairState();
    await aSecond();
    expect(victim.person(['expire']).status).toBe(0);
    expect(victim.rules(A)).toEqual([]);
    expect(victim.bans().map(({ address }) => address)).toEqual([B]);
    expect(victim.host.exists('/run/firewall-drop/unsaved')).toBe(false);
  });

  test('a delete is remembered, too, so that the ban does not come back', () => {
    expect(victim.person(['delete', B]).status).toBe(0);
    repairState();
    expect(victim.person(['restore']).status).toBe(0);
    expect(victim.rules(B)).toEqual([]);
    expect(victim.bans()).toEqual([]);
  });

  test('each run reports the problem once, and no interrupted run', () => {
    victim.person(['add', A, '--timeout', '1h']);
    const { status, stderr } = victim.person(['add', A, '--timeout', '1h']);
    expect(status).toBe(0);
    expect(stderr.trim().split('\n')).toEqual([expect.stringMatching(/the state (in|failed)/)]);
  });

  test('unsaved changes are shown as pending, and exported', () => {
    victim.person(['add', A, '--timeout', '1h']);
    victim.person(['delete', B]);
    const listed: unknown = JSON.parse(
      victim.person(['list', '--json', '--sort', 'address']).stdout,
    );
    expect(listed).toMatchObject({
      bans: [
        { address: B, phase: 'unblocking', kernel: 'missing' },
        { address: A, phase: 'blocking', kernel: 'yes', holds: [{ origin: 'manual' }] },
      ],
    });
    expect(victim.person(['status', A]).stdout).toContain('by our rule');
    const { status, stdout } = victim.person(['status']);
    expect(status).toBe(1);
    expect(stdout).toMatch(/^pending +2: the state can't be written/m);
    const metrics = victim.person(['metrics']).stdout;
    expect(metrics).toMatch(/^firewall_drop_state_volatile 1$/m);
    expect(metrics).toMatch(/^firewall_drop_pending_changes 2$/m);
    const exported = victim.person(['export']).stdout.trim().split('\n');
    expect(exported).toEqual([expect.stringContaining(A)]);
    repairState();
    expect(victim.person(['expire']).status).toBe(0);
    expect(victim.bans()).toMatchObject([{ address: A, phase: 'blocked' }]);
    expect(victim.person(['metrics']).stdout).toMatch(/^firewall_drop_state_volatile 0$/m);
  });

  test('limits.bans_per_minute applies', () => {
    victim.configure('[limits]\nbans_per_minute = 2\n');
    const statuses = [1, 2, 3].map((last) => victim.add(`203.0.113.${last}`).status);
    expect(statuses).toEqual([0, 0, 65]);
    expect(victim.rules('203.0.113.3')).toEqual([]);
  });

  test('an administrator’s rule for a released address stays during the following runs', () => {
    victim.host.must(['iptables', '-A', 'INPUT', '-s', A, '-j', 'DROP']);
    expect([victim.add(A).status, victim.delete(A).status]).toEqual([0, 0]);
    const own = [`-A INPUT -s ${A}/32 -j DROP`];
    expect(victim.rules(A)).toEqual(own);
    expect(victim.add('203.0.113.1').status).toBe(0);
    expect(victim.rules(A)).toEqual(own);
    repairState();
    expect(victim.person(['expire']).status).toBe(0);
    expect(victim.rules(A)).toEqual(own);
  });

  test('an administrator’s changes after a release or a block stay, because verified changes are not repeated', () => {
    const other = '203.0.113.1';
    expect([victim.add(A).status, victim.delete(A).status, victim.add(other).status]).toEqual([
      0, 0, 0,
    ]);
    const own = [`-A INPUT -s ${A}/32 -j DROP`];
    victim.host.must(['iptables', '-A', 'INPUT', '-s', A, '-j', 'DROP']);
    victim.host.must(['iptables', '-D', 'INPUT', '-s', other, '-j', 'DROP']);
    expect(victim.add('203.0.113.2').status).toBe(0);
    expect(victim.rules(A)).toEqual(own);
    repairState();
    expect(victim.person(['expire']).status).toBe(0);
    expect(victim.rules(A)).toEqual(own);
    expect(victim.rules(other)).toEqual([`-A FORWARD -s ${other}/32 -j DROP`]);
    expect(victim.bans().map(({ address }) => address)).toEqual([B, other, '203.0.113.2']);
  });

  test('many bans are not migrated to sets, and each is released where it is', () => {
    victim.configure('[firewall]\npromote_at = 1\n');
    expect([victim.add(A).status, victim.add('203.0.113.1').status]).toEqual([0, 0]);
    expect(held()).toMatchObject({ ipset: [], nftables: [] });
    expect(victim.delete(A).status).toBe(0);
    expect(victim.person(['delete', B]).status).toBe(0);
    expect(held()).toEqual({ iptables: ['203.0.113.1'], ipset: [], nftables: [] });
    repairState();
  });

  test('doctor reports unsaved changes', () => {
    victim.person(['add', A, '--timeout', '1h']);
    const { stdout } = victim.person(['doctor']);
    expect(stdout).toMatch(/problem +store.*\/run\/firewall-drop\/unsaved/);
  });
});
