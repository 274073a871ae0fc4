// Applying changes: a success is verified in the kernel, and a failure is retried or inspected before it is reported.
import { describe, expect, jest, test } from '@jest/globals';
import type { Family } from '../../../src/model/address.ts';
import { createFirewall, type FirewallContext } from '../../../src/firewall/apply.ts';
import { createIpset } from '../../../src/firewall/ipset/plan.ts';
import { createIptables } from '../../../src/firewall/iptables/plan.ts';
import { DONE, dies, FakeKernel, isChange, refuses } from '../support/kernel.ts';
import { addressOf, backendNamed, codeOf } from '../support/workshop.ts';

const RULE = '-s 203.0.113.9/32 -j DROP';
const SET_RULE = '-m set --match-set firewall-drop-4 src -j DROP';
const TO_BLOCK = { address: addressOf('203.0.113.9'), to: 'blocked' } as const;
const TO_RELEASE = { address: addressOf('203.0.113.9'), to: 'released' } as const;
const TRUSTING = { trustState: true };
const LOOKING = { trustState: false };

function host(parts: Partial<FirewallContext> = {}) {
  const kernel = new FakeKernel();
  const pauses: number[] = [];
  const timeouts: number[] = [];
  const extras = new Map<Family, readonly string[]>();
  const firewall = createFirewall({
    backend: createIptables({
      variant: 'auto',
      chains: ['INPUT', 'FORWARD'],
      optionalChains: ['DOCKER-USER'],
      lockWaitSeconds: 10,
    }),
    run: (command, timeoutMs) => {
      timeouts.push(timeoutMs);
      return kernel.run(command, timeoutMs);
    },
    sleep: (milliseconds) => pauses.push(milliseconds),
    deadline: { remainingMs: () => 20_000 },
    programTimeoutSeconds: 15,
    isIpv6Absent: () => false,
    isWorkShared: () => false,
    extras: (family) => extras.get(family) ?? [],
    noteExtras: (family, found) => extras.set(family, found),
    ...parts,
  });
  return { kernel, pauses, timeouts, extras, firewall };
}

describe('the usual change', () => {
  test('is made and verified in one process', () => {
    const { firewall, kernel } = host();
    expect(firewall.apply([TO_BLOCK], TRUSTING).outcome).toBe('changed');
    expect(firewall.apply([TO_RELEASE], TRUSTING).outcome).toBe('changed');
    expect(kernel.commands).toHaveLength(2);
  });

  test('that is already in place is reported as unchanged after one look', () => {
    const { firewall, kernel } = host();
    firewall.apply([TO_BLOCK], TRUSTING);
    expect(firewall.apply([TO_BLOCK], LOOKING).outcome).toBe('unchanged');
    expect(kernel.changingCommands).toBe(1);
  });

  test('of both families runs the program of each family', () => {
    const { firewall, kernel } = host();
    firewall.apply([TO_BLOCK, { address: addressOf('2001:db8::9'), to: 'blocked' }], TRUSTING);
    expect(kernel.commands.map((command) => command.program)).toEqual([
      'iptables-restore',
      'ip6tables-restore',
    ]);
  });

  test('of no addresses runs no program', () => {
    const { firewall, kernel } = host();
    expect(firewall.apply([], LOOKING).outcome).toBe('unchanged');
    expect(kernel.commands).toEqual([]);
  });
});

describe('entries with a timeout', () => {
  const plannedFor = (count: number): string => {
    const asked: string[] = [];
    const backend = createIpset({
      variant: 'auto',
      chains: ['INPUT'],
      optionalChains: [],
      lockWaitSeconds: 10,
      setName: 'firewall-drop',
      maxEntries: 131_072,
    });
    const { firewall } = host({
      backend,
      run: (command) => {
        asked.push(command.input);
        return dies(command, () => DONE);
      },
    });
    const changes = Array.from({ length: count }, (_, n) => ({
      address: addressOf(`198.18.${n >> 8}.${n & 255}`),
      to: 'blocked' as const,
      timeoutSeconds: 2,
    }));
    expect(codeOf(() => firewall.apply(changes, TRUSTING))).toBe('FIREWALL');
    return asked.join('');
  };

  test('get the requested timeout', () => {
    expect(plannedFor(1)).toContain('198.18.0.0 timeout 2\n');
  });

  test('of a long list get a timeout that outlasts the listing that verifies them', () => {
    expect(plannedFor(20_000)).toContain('198.18.0.0 timeout 20\n');
  });
});

describe('a wrong state', () => {
  test('about an unblock is detected by the failed command, and the address is unblocked', () => {
    const { firewall, kernel } = host();
    kernel.insert('FORWARD', RULE);
    firewall.apply([TO_RELEASE], TRUSTING);
    expect(kernel.rules('FORWARD')).toEqual([]);
  });

  test('about a block is detected in the listing after it, and one rule is left', () => {
    const { firewall, kernel } = host();
    kernel.insert('INPUT', RULE);
    kernel.insert('INPUT', RULE);
    firewall.apply([TO_BLOCK], TRUSTING);
    expect(kernel.rules('INPUT')).toEqual([RULE]);
    expect(kernel.rules('FORWARD')).toEqual([RULE]);
  });

  test('about the chain of Docker is detected when the chain appears and when it is gone', () => {
    const { firewall, kernel, extras } = host();
    kernel.addChain('DOCKER-USER');
    firewall.apply([TO_BLOCK], TRUSTING);
    expect(kernel.rules('DOCKER-USER')).toEqual([RULE]);
    expect(extras.get(4)).toEqual(['DOCKER-USER']);
    kernel.removeChain('DOCKER-USER');
    firewall.apply([TO_RELEASE], TRUSTING);
    expect(kernel.rules('INPUT')).toEqual([]);
    expect(extras.get(4)).toEqual([]);
  });
});

describe('a rule of our shape that appears during a block', () => {
  const change = { ...TO_BLOCK, foreign: 'find' } as const;
  function blockBeside(isWorkShared: boolean) {
    const { firewall, kernel } = host({ isWorkShared: () => isWorkShared });
    kernel.disturb((_command, work) => {
      for (const chain of ['INPUT', 'FORWARD']) kernel.insert(chain, RULE);
      return work();
    });
    const { foreign } = firewall.apply([change], TRUSTING);
    return { foreign: foreign.get('203.0.113.9'), rules: kernel.rules('INPUT') };
  }

  test('is foreign and stays if no other run works', () => {
    expect(blockBeside(false)).toEqual({
      foreign: { INPUT: 1, FORWARD: 1 },
      rules: [RULE, RULE],
    });
  });

  test('counts as that of another run if one works, so that none is left after the ban', () => {
    expect(blockBeside(true)).toEqual({ foreign: undefined, rules: [RULE] });
  });
});

describe('a program that exits with status 0', () => {
  test('and left out a chain is run again until both chains have the rule', () => {
    const { firewall, kernel } = host();
    kernel.disturb((command, work) => {
      work();
      kernel.remove('FORWARD', RULE);
      return kernel.run({ ...command, input: '*filter\n-S\nCOMMIT\n' }, 0);
    });
    firewall.apply([TO_BLOCK], TRUSTING);
    expect(kernel.rules('FORWARD')).toEqual([RULE]);
  });

  test('and prints no listing counts as failed', () => {
    const { firewall, kernel } = host();
    kernel.disturbAlways(() => DONE);
    expect(codeOf(() => firewall.apply([TO_BLOCK], TRUSTING))).toBe('FIREWALL');
  });

  test('and never lists the rule is given up after five attempts', () => {
    const { firewall, kernel } = host();
    kernel.disturbAlways(() => ({ ...DONE, stdout: '-P INPUT ACCEPT\n-P FORWARD ACCEPT\n' }));
    expect(() => firewall.apply([TO_BLOCK], TRUSTING)).toThrow(
      '203.0.113.9: changed 5 times, but the kernel never showed the result',
    );
    expect(kernel.commands).toHaveLength(5);
  });
});

describe('a program that fails', () => {
  test('to change the kernel is not run again for the same change', () => {
    const { firewall, kernel } = host();
    kernel.disturbAlways((command, work) =>
      isChange(command) ? { ...DONE, status: 1, stderr: 'no' } : work(),
    );
    expect(codeOf(() => firewall.apply([TO_BLOCK], TRUSTING))).toBe('FIREWALL');
    expect(kernel.changingCommands).toBe(1);
  });

  test('after it changed the kernel counts as successful', () => {
    const { firewall, kernel } = host();
    kernel.disturb(dies);
    expect(firewall.apply([TO_BLOCK], TRUSTING).outcome).toBe('changed');
    expect(kernel.changingCommands).toBe(1);
  });

  test('is reported in one line with the address and an excerpt of its output', () => {
    const { firewall, kernel } = host();
    kernel.disturbAlways((command, work) =>
      isChange(command)
        ? { ...DONE, status: 2, stderr: `\n  first\n  second\n${'x'.repeat(10_000)}` }
        : work(),
    );
    let message = '';
    try {
      firewall.apply([TO_BLOCK], TRUSTING);
    } catch (error) {
      message = (error as Error).message;
    }
    expect(message).toMatch(
      /^203\.0\.113\.9: iptables-restore exited with status 2: first; second; x+$/,
    );
    expect(message.length).toBeLessThan(700);
  });

  test('for many addresses is reported with the first addresses and the number of the others', () => {
    const { firewall, kernel } = host();
    kernel.removeChain('FORWARD');
    const changes = [1, 2, 3, 4, 5].map((last) => {
      return { address: addressOf(`198.51.100.${last}`), to: 'blocked' } as const;
    });
    expect(() => firewall.apply(changes, TRUSTING)).toThrow(
      '198.51.100.1, 198.51.100.2, 198.51.100.3 and 2 more: iptables-restore exited with status 1',
    );
  });

  test('and then fails to list the rules is reported with the first error', () => {
    const { firewall, kernel } = host();
    kernel.disturb(refuses(3, 'the first complaint'), refuses(3, 'the second complaint'));
    expect(() => firewall.apply([TO_BLOCK], TRUSTING)).toThrow('the first complaint');
  });

  test('to list the rules for a set is reported with its error, although the entry was added', () => {
    const kernel = new FakeKernel();
    const { firewall } = host({ backend: backendNamed('ipset'), run: kernel.run });
    kernel.disturbAlways((command, work) => {
      return command.program === 'ipset' ? work() : refuses(2, 'no such table')(command, work);
    });
    expect(() => firewall.apply([TO_BLOCK], TRUSTING)).toThrow(
      '203.0.113.9: iptables-restore exited with status 2: no such table',
    );
  });

  test('because it was killed is reported as killed, with the address', () => {
    const { firewall, kernel } = host();
    const trouble = 'did not end within 15.0 s and was killed';
    kernel.disturbAlways(() => ({ ...DONE, status: null, trouble }));
    expect(() => firewall.apply([TO_BLOCK], TRUSTING)).toThrow(
      /^203\.0\.113\.9: iptables-restore did not end within 15\.0 s and was killed/,
    );
  });
});

describe('a kernel without IPv6, where ip6tables fails', () => {
  const OF_IPV6 = { address: addressOf('2001:db8::9'), to: 'released' } as const;
  const without = (parts: Partial<FirewallContext> = { isIpv6Absent: () => true }) => {
    const { firewall, kernel } = host(parts);
    kernel.disturbAlways(refuses(2, "unable to initialize table 'filter'"));
    return firewall;
  };

  test('counts every IPv6 address as released', () => {
    expect(without().apply([OF_IPV6], TRUSTING).outcome).toBe('unchanged');
    expect(without().apply([OF_IPV6], LOOKING).outcome).toBe('unchanged');
    expect(without().compare([OF_IPV6])).toEqual({ missing: [], late: [] });
    expect(without().plan([OF_IPV6])).toEqual([]);
  });

  test('can block no IPv6 address, and other failures are still reported', () => {
    for (const [firewall, change] of [
      [without(), { ...OF_IPV6, to: 'blocked' }],
      [without(), TO_RELEASE],
      [without({}), OF_IPV6],
    ] as const) {
      expect(codeOf(() => firewall.apply([change], LOOKING))).toBe('FIREWALL');
      expect(codeOf(() => firewall.compare([change]))).toBe('FIREWALL');
    }
  });
});

test('everything is removed on a kernel without IPv6, although an IPv6 set can exist', () => {
  const removal = (parts: Partial<FirewallContext>) => {
    const { firewall, kernel } = host({ backend: backendNamed('ipset'), ...parts });
    firewall.apply([TO_BLOCK, { address: addressOf('2001:db8::9'), to: 'blocked' }], TRUSTING);
    kernel.disturbAlways((command, work) => {
      return command.program.startsWith('ip6') ? refuses(3, 'no filter')(command, work) : work();
    });
    return {
      kernel,
      code: codeOf(() => {
        firewall.removeAll([]);
      }),
    };
  };
  const { kernel, code } = removal({ isIpv6Absent: () => true });
  expect(code).toBe('nothing was thrown');
  expect(kernel.sets.has('firewall-drop-4')).toBe(false);
  expect(removal({}).code).toBe('FIREWALL');
});

test('the number of attempts grows with a list: a set replaces 6,000 plain rules, a thousand at a time', () => {
  const { firewall, kernel } = host();
  const changes = Array.from({ length: 6000 }, (_, n) => ({
    address: addressOf(`198.18.${n >> 8}.${n & 255}`),
    to: 'blocked' as const,
  }));
  firewall.apply(changes, TRUSTING);
  expect(kernel.rules('INPUT')).toHaveLength(6000);
  const { firewall: sets } = host({ backend: backendNamed('ipset'), run: kernel.run });
  sets.apply(changes, LOOKING);
  expect(kernel.rules('INPUT')).toEqual([]);
  expect(kernel.rules('raw PREROUTING')).toEqual([SET_RULE]);
  expect(kernel.sets.entries('firewall-drop-4')).toHaveLength(6000);
});

describe('the rule of a set', () => {
  const withSets = (hasRaw: boolean) => {
    const kernel = new FakeKernel();
    kernel.hasRaw = hasRaw;
    const { firewall } = host({ backend: backendNamed('ipset'), run: kernel.run });
    return { kernel, firewall };
  };
  const places = (kernel: FakeKernel): readonly (readonly string[])[] =>
    ['raw PREROUTING', 'INPUT', 'FORWARD'].map((chain) => kernel.rules(chain));

  test('is in the filter table if the kernel has no table raw, and the snapshot names its chains', () => {
    const { kernel, firewall } = withSets(false);
    expect(firewall.apply([TO_BLOCK], TRUSTING).outcome).toBe('changed');
    expect(places(kernel)).toEqual([[], [SET_RULE], [SET_RULE]]);
    expect(firewall.apply([TO_BLOCK], LOOKING).outcome).toBe('unchanged');
    expect(firewall.snapshot(4).held.get('203.0.113.9')?.chains).toEqual(['INPUT', 'FORWARD']);
    firewall.removeAll([]);
    expect(places(kernel)).toEqual([[], [], []]);
    expect(kernel.sets.names).toEqual([]);
  });

  test('moves to raw with the first block once the table exists, and is always in one of the two', () => {
    const { kernel, firewall } = withSets(false);
    firewall.apply([TO_BLOCK], TRUSTING);
    kernel.hasRaw = true;
    const seen: boolean[] = [];
    kernel.disturbAlways((_, work) => {
      const result = work();
      seen.push(places(kernel).some((rules) => rules.length > 0));
      return result;
    });
    firewall.apply([{ address: addressOf('203.0.113.10'), to: 'blocked' }], TRUSTING);
    expect(places(kernel)).toEqual([[SET_RULE], [], []]);
    expect(seen).not.toContain(false);
    expect(firewall.plan([TO_BLOCK])).toEqual([]);
    firewall.removeAll([]);
    expect(places(kernel)).toEqual([[], [], []]);
  });

  test('that must move is planned as it is done', () => {
    const { kernel, firewall } = withSets(true);
    firewall.apply([TO_BLOCK], TRUSTING);
    kernel.remove('raw PREROUTING', SET_RULE);
    kernel.insert('INPUT', SET_RULE);
    const inputs = firewall.plan([TO_BLOCK]).map(({ input }) => input.split('\n').slice(0, 2));
    expect(inputs).toEqual([
      ['*raw', `-I PREROUTING 1 ${SET_RULE}`],
      ['*filter', `-D INPUT ${SET_RULE}`],
    ]);
  });
});

describe('a busy program (status 4)', () => {
  test('is run twice more, with a pause before each run', () => {
    const { firewall, kernel, pauses } = host();
    kernel.disturb(refuses(4, 'busy'), refuses(4, 'busy'));
    expect(firewall.apply([TO_BLOCK], TRUSTING).outcome).toBe('changed');
    expect(pauses).toEqual([100, 300]);
  });

  test('is not retried forever', () => {
    const { firewall, kernel } = host();
    kernel.disturbAlways(refuses(4, 'busy'));
    expect(codeOf(() => firewall.apply([TO_BLOCK], TRUSTING))).toBe('FIREWALL');
    expect(kernel.commands.length).toBeLessThanOrEqual(6);
  });

  test('that has itself waited for the lock is not retried', () => {
    const { firewall, kernel, pauses } = host();
    let passedNs = 0n;
    const clock = jest.spyOn(process.hrtime, 'bigint').mockImplementation(() => passedNs);
    kernel.disturb((command, work) => {
      passedNs += 2_000_000_000n;
      return refuses(4, 'busy')(command, work);
    });
    const code = codeOf(() => firewall.apply([TO_BLOCK], TRUSTING));
    clock.mockRestore();
    expect(code).toBe('FIREWALL');
    expect(pauses).toEqual([]);
    expect(kernel.changingCommands).toBe(1);
  });

  test('is retried after a pause of at most the remaining time', () => {
    const { firewall, kernel, pauses } = host({ deadline: { remainingMs: () => 40 } });
    kernel.disturb(refuses(4, 'busy'));
    firewall.apply([TO_BLOCK], TRUSTING);
    expect(pauses).toEqual([40]);
  });
});

describe('time', () => {
  test('for one program is bounded by its own limit', () => {
    const { firewall, timeouts } = host();
    firewall.apply([TO_BLOCK], TRUSTING);
    expect(timeouts).toEqual([15_000]);
  });

  test('for one program is bounded by the remaining time of the run', () => {
    const { firewall, timeouts } = host({ deadline: { remainingMs: () => 700 } });
    firewall.apply([TO_BLOCK], TRUSTING);
    expect(timeouts).toEqual([700]);
  });

  test('that has run out starts no program', () => {
    const { firewall, kernel } = host({ deadline: { remainingMs: () => 0 } });
    expect(codeOf(() => firewall.apply([TO_BLOCK], TRUSTING))).toBe('FIREWALL');
    expect(kernel.commands).toEqual([]);
  });

  test('that a hanging program used up is reported with that program and the address', () => {
    let left = 15_000;
    const { firewall, kernel } = host({ deadline: { remainingMs: () => left } });
    kernel.disturbAlways(() => {
      left = 0;
      return { ...DONE, status: null, trouble: 'did not end within 15.0 s and was killed' };
    });
    expect(() => firewall.apply([TO_BLOCK], TRUSTING)).toThrow(
      /203\.0\.113\.9.*iptables-restore did not end within 15\.0 s/,
    );
  });
});

describe('a plan', () => {
  test('returns the commands that would run, and changes nothing', () => {
    const { firewall, kernel } = host();
    const [command] = firewall.plan([TO_BLOCK]);
    expect(command?.input).toContain(`-I INPUT 1 ${RULE}`);
    expect(kernel.changingCommands).toBe(0);
  });

  test('is empty if the kernel is already as required', () => {
    const { firewall } = host();
    expect(firewall.plan([TO_RELEASE])).toEqual([]);
  });
});
