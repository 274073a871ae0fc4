// No success that was not seen in the kernel, and no failure that another try or a look would have explained.
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

  test('that is in place already is no change, and costs one look', () => {
    const { firewall, kernel } = host();
    firewall.apply([TO_BLOCK], TRUSTING);
    expect(firewall.apply([TO_BLOCK], LOOKING).outcome).toBe('unchanged');
    expect(kernel.changingCommands).toBe(1);
  });

  test('of both families goes to each one’s own program', () => {
    const { firewall, kernel } = host();
    firewall.apply([TO_BLOCK, { address: addressOf('2001:db8::9'), to: 'blocked' }], TRUSTING);
    expect(kernel.commands.map((command) => command.program)).toEqual([
      'iptables-restore',
      'ip6tables-restore',
    ]);
  });

  test('of nothing runs nothing', () => {
    const { firewall, kernel } = host();
    expect(firewall.apply([], LOOKING).outcome).toBe('unchanged');
    expect(kernel.commands).toEqual([]);
  });
});

describe('entries that the kernel ends by itself', () => {
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

  test('last as long as was asked', () => {
    expect(plannedFor(1)).toContain('198.18.0.0 timeout 2\n');
  });

  test('outlive the look at them where they are many, or they would seem never made', () => {
    expect(plannedFor(20_000)).toContain('198.18.0.0 timeout 20\n');
  });
});

describe('a wrong state', () => {
  test('about an unblock is found by its failure, and the kernel is brought to what was asked', () => {
    const { firewall, kernel } = host();
    kernel.insert('FORWARD', RULE);
    firewall.apply([TO_RELEASE], TRUSTING);
    expect(kernel.rules('FORWARD')).toEqual([]);
  });

  test('about a block is found by the listing after it: one rule is left', () => {
    const { firewall, kernel } = host();
    kernel.insert('INPUT', RULE);
    kernel.insert('INPUT', RULE);
    firewall.apply([TO_BLOCK], TRUSTING);
    expect(kernel.rules('INPUT')).toEqual([RULE]);
    expect(kernel.rules('FORWARD')).toEqual([RULE]);
  });

  test('about Docker is found both ways', () => {
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

describe('a program that says status 0', () => {
  test('and left a chain out is sent again until both have the rule', () => {
    const { firewall, kernel } = host();
    kernel.disturb((command, work) => {
      work();
      kernel.remove('FORWARD', RULE);
      return kernel.run({ ...command, input: '*filter\n-S\nCOMMIT\n' }, 0);
    });
    firewall.apply([TO_BLOCK], TRUSTING);
    expect(kernel.rules('FORWARD')).toEqual([RULE]);
  });

  test('and prints no listing is not believed', () => {
    const { firewall, kernel } = host();
    kernel.disturbAlways(() => DONE);
    expect(codeOf(() => firewall.apply([TO_BLOCK], TRUSTING))).toBe('FIREWALL');
  });

  test('and whose listing lacks the rule each time is given up in the end', () => {
    const { firewall, kernel } = host();
    kernel.disturbAlways(() => ({ ...DONE, stdout: '-P INPUT ACCEPT\n-P FORWARD ACCEPT\n' }));
    expect(() => firewall.apply([TO_BLOCK], TRUSTING)).toThrow(
      '203.0.113.9: changed 5 times, but the kernel never showed the result',
    );
    expect(kernel.commands).toHaveLength(5);
  });
});

describe('a program that fails', () => {
  test('the same way twice is not asked a third time', () => {
    const { firewall, kernel } = host();
    kernel.disturbAlways((command, work) =>
      isChange(command) ? { ...DONE, status: 1, stderr: 'no' } : work(),
    );
    expect(codeOf(() => firewall.apply([TO_BLOCK], TRUSTING))).toBe('FIREWALL');
    expect(kernel.changingCommands).toBe(1);
  });

  test('after it did its work has not failed', () => {
    const { firewall, kernel } = host();
    kernel.disturb(dies);
    expect(firewall.apply([TO_BLOCK], TRUSTING).outcome).toBe('changed');
    expect(kernel.changingCommands).toBe(1);
  });

  test('is quoted in one line that names the address, shortened', () => {
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

  test('for many addresses is reported with the first of them and their number', () => {
    const { firewall, kernel } = host();
    kernel.removeChain('FORWARD');
    const changes = [1, 2, 3, 4, 5].map((last) => {
      return { address: addressOf(`198.51.100.${last}`), to: 'blocked' } as const;
    });
    expect(() => firewall.apply(changes, TRUSTING)).toThrow(
      '198.51.100.1, 198.51.100.2, 198.51.100.3 and 2 more: iptables-restore exited with status 1',
    );
  });

  test('even to look is reported with what failed first', () => {
    const { firewall, kernel } = host();
    kernel.disturb(refuses(3, 'the first complaint'), refuses(3, 'the second complaint'));
    expect(() => firewall.apply([TO_BLOCK], TRUSTING)).toThrow('the first complaint');
  });

  test('to show the rules for a set is reported with its complaint: the entry is made once more, and that is no success', () => {
    const kernel = new FakeKernel();
    const { firewall } = host({ backend: backendNamed('ipset'), run: kernel.run });
    kernel.disturbAlways((command, work) => {
      return command.program === 'ipset' ? work() : refuses(2, 'no such table')(command, work);
    });
    expect(() => firewall.apply([TO_BLOCK], TRUSTING)).toThrow(
      '203.0.113.9: iptables-restore exited with status 2: no such table',
    );
  });

  test('because it was killed is reported so, with the address', () => {
    const { firewall, kernel } = host();
    const trouble = 'did not end within 15.0 s and was killed';
    kernel.disturbAlways(() => ({ ...DONE, status: null, trouble }));
    expect(() => firewall.apply([TO_BLOCK], TRUSTING)).toThrow(
      /^203\.0\.113\.9: iptables-restore did not end within 15\.0 s and was killed/,
    );
  });
});

describe('a kernel without IPv6, of whose tables ip6tables knows nothing', () => {
  const OF_IPV6 = { address: addressOf('2001:db8::9'), to: 'released' } as const;
  const without = (parts: Partial<FirewallContext> = { isIpv6Absent: () => true }) => {
    const { firewall, kernel } = host(parts);
    kernel.disturbAlways(refuses(2, "unable to initialize table 'filter'"));
    return firewall;
  };

  test('drops nothing: what is to be released there is', () => {
    expect(without().apply([OF_IPV6], TRUSTING).outcome).toBe('unchanged');
    expect(without().apply([OF_IPV6], LOOKING).outcome).toBe('unchanged');
    expect(without().compare([OF_IPV6])).toEqual({ missing: [], late: [] });
    expect(without().plan([OF_IPV6])).toEqual([]);
  });

  test('blocks nothing either, and where it has IPv6 or the release is one of IPv4 a failure is one', () => {
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

test('everything is removed on a kernel without IPv6 too, though a set of its family may be there', () => {
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

test('a list has attempts by its length: a set takes over 6,000 plain rules, a thousand at a time', () => {
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

  test('stands in the filter table where the kernel has no table raw, as `held` says', () => {
    const { kernel, firewall } = withSets(false);
    expect(firewall.apply([TO_BLOCK], TRUSTING).outcome).toBe('changed');
    expect(places(kernel)).toEqual([[], [SET_RULE], [SET_RULE]]);
    expect(firewall.apply([TO_BLOCK], LOOKING).outcome).toBe('unchanged');
    expect(firewall.snapshot(4).held.get('203.0.113.9')?.chains).toEqual(['INPUT', 'FORWARD']);
    firewall.removeAll([]);
    expect(places(kernel)).toEqual([[], [], []]);
    expect(kernel.sets.names).toEqual([]);
  });

  test('moves to raw with the first block there, and never stands in neither', () => {
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

  test('that is to move is planned as it would be done', () => {
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
  test('is asked twice more, with a pause before each', () => {
    const { firewall, kernel, pauses } = host();
    kernel.disturb(refuses(4, 'busy'), refuses(4, 'busy'));
    expect(firewall.apply([TO_BLOCK], TRUSTING).outcome).toBe('changed');
    expect(pauses).toEqual([100, 300]);
  });

  test('is not asked for ever', () => {
    const { firewall, kernel } = host();
    kernel.disturbAlways(refuses(4, 'busy'));
    expect(codeOf(() => firewall.apply([TO_BLOCK], TRUSTING))).toBe('FIREWALL');
    expect(kernel.commands.length).toBeLessThanOrEqual(6);
  });

  test('that has waited itself before it gave up is not asked to wait again', () => {
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

  test('is waited for no longer than the time that is left', () => {
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

  test('for one program is bounded by what is left of the run', () => {
    const { firewall, timeouts } = host({ deadline: { remainingMs: () => 700 } });
    firewall.apply([TO_BLOCK], TRUSTING);
    expect(timeouts).toEqual([700]);
  });

  test('that is over starts no program', () => {
    const { firewall, kernel } = host({ deadline: { remainingMs: () => 0 } });
    expect(codeOf(() => firewall.apply([TO_BLOCK], TRUSTING))).toBe('FIREWALL');
    expect(kernel.commands).toEqual([]);
  });

  test('that a hanging program used up is blamed on that program, with the address', () => {
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
  test('is what would be run, and only looks', () => {
    const { firewall, kernel } = host();
    const [command] = firewall.plan([TO_BLOCK]);
    expect(command?.input).toContain(`-I INPUT 1 ${RULE}`);
    expect(kernel.changingCommands).toBe(0);
  });

  test('is empty where the kernel is as asked', () => {
    const { firewall } = host();
    expect(firewall.plan([TO_RELEASE])).toEqual([]);
  });
});
