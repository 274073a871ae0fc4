// Checks config.toml on a real host: mistakes are reported and stop no block, and every key has its effect.
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { JsonObject } from '../support/alerts.ts';
import { builtBinary } from '../support/binary.ts';
import type { IptablesVariant } from '../support/host.ts';
import { CONFIG_FILE, createVictim, ossecLine, type Victim } from '../support/victim.ts';

const A = '203.0.113.7';
const A6 = '2001:db8:ffff::7';
const BAD_DATA = 65;
const FIREWALL = 69;

let victim: Victim;
beforeAll(async () => {
  victim = await createVictim();
});
afterEach(() => {
  victim.reset();
});
afterAll(() => victim.dispose());

function inHost(script: string): string {
  return victim.host.must(['bash', '-c', script]);
}

function blocksAllTheSame(): void {
  const response = victim.add(A);
  expect(response.status).toBe(0);
  expect(response.lines).toEqual([expect.stringMatching(ossecLine('add', A))]);
  expect(victim.rules(A)).toHaveLength(2);
}

describe('a mistake in config.toml', () => {
  // test/unit/config/parse.test.ts checks every kind of mistake.
  test.each([
    ['nonsense = 1', 1, 'unknown key `nonsense`'],
    ['[log]\ntotal_seconds = 5', 2, 'the keys of ['],
    ['# why\n[log]\nformat = "json"', 3, '"ossec" or "wazuh" or "both"'],
    ['[protect]\nallow = [\n  "192.0.2.1",\n  "203.0.113.999",\n]', 4, '"203.0.113.999" is not'],
    ['[log]\nformat = wazuh', 2, 'the whole file is ignored'],
  ])(
    'such as %j is reported with file, line %i and advice, and does not stop a block',
    (toml, line, advice) => {
      victim.configure(`${toml}\n`);
      const told = (text: string): void => {
        expect(text).toContain(`${CONFIG_FILE}:${line}: `);
        expect(text).toContain(advice);
      };
      blocksAllTheSame();
      told(victim.troubles().join('\n'));
      told(victim.person(['list']).stderr);
    },
  );

  test('does not affect the other keys of the file', () => {
    victim.configure('[log]\nformat = "both"\nlevel = "loud"\n');
    expect(victim.add(A).lines).toHaveLength(6);
  });

  test('is reported on standard error by each run until it is corrected', () => {
    victim.configure('nonsense = 1\n');
    expect(victim.add(A).stderr).toContain('nonsense');
    expect(victim.add(A).stderr).toContain('nonsense');
    victim.configure('# corrected\n');
    expect(victim.add(A).stderr).toBe('');
  });
});

test('the configuration applies to an executable that was removed after its start', () => {
  victim.configure(`[protect]\nallow = ["${A}"]\n`);
  const start =
    'cp "$0" /var/tmp/old; exec 3</var/tmp/old; rm /var/tmp/old; exec /proc/self/fd/3 add "$1"';
  for (const time of ['first', 'second']) {
    const { stderr } = victim.host.run(['bash', '-c', start, builtBinary(), A]);
    expect([time, stderr]).toEqual([time, expect.stringContaining('protected')]);
    expect(victim.rules(A)).toEqual([]);
  }
});

describe('an unusable config.toml', () => {
  const otherUser = 1001;
  test.each([
    ['belongs to somebody else', `chown ${otherUser} ${CONFIG_FILE}`, 'root'],
    ['may be written by everybody', `chmod 0666 ${CONFIG_FILE}`, 'writable'],
    ['may be written by a group', `chmod 0664 ${CONFIG_FILE}`, 'writable'],
    ['is a directory', `rm ${CONFIG_FILE}; mkdir ${CONFIG_FILE}`, 'regular file'],
    ['is a FIFO', `rm ${CONFIG_FILE}; mkfifo ${CONFIG_FILE}`, 'regular file'],
    ['is a device', `ln -sfn /dev/zero ${CONFIG_FILE}`, CONFIG_FILE],
    ['is larger than a megabyte', `head -c 2000000 /dev/zero >${CONFIG_FILE}`, 'larger'],
    ['is a link to nowhere', `ln -sfn /nowhere ${CONFIG_FILE}`, ''],
  ])('that %s is not read: the defaults apply, and a message reports it', (_, spoil, word) => {
    victim.configure('[log]\nformat = "wazuh"\n');
    inHost(spoil);
    blocksAllTheSame();
    expect(victim.troubles().join('\n')).toContain(word);
  });

  test.each([
    ['is not valid TOML any more', `echo '[[[' >${CONFIG_FILE}`],
    ['has a half-written list', `printf '[protect]\\nallow = ["${A}"' >${CONFIG_FILE}`],
  ])('that %s still protects the addresses that it protected before', (_, spoil) => {
    victim.configure(`[protect]\nallow = ["${A}"]\n`);
    expect(victim.add(A).status).toBe(BAD_DATA);
    expect(victim.add('203.0.113.8').status).toBe(0);
    inHost(spoil);
    for (const again of [1, 2]) {
      expect({ again, status: victim.add(A).status }).toEqual({ again, status: BAD_DATA });
      expect(victim.add(`203.0.113.1${again}`).status).toBe(0);
    }
    expect(victim.rules(A)).toEqual([]);
  });

  test('still protects the addresses that a file with a smaller mistake protected before', () => {
    victim.configure(`nonsense = 1\n[protect]\nallow = ["${A}"]\n`);
    expect(victim.add(A).status).toBe(BAD_DATA);
    expect(victim.add('203.0.113.8').status).toBe(0);
    inHost(`echo '[[[' >${CONFIG_FILE}`);
    expect(victim.add(A).status).toBe(BAD_DATA);
  });

  test('is read again after a change that keeps its size', () => {
    victim.configure('[log]\nformat = "ossec"\n');
    expect(victim.add(A).lines).toHaveLength(1);
    victim.configure('[log]\nformat = "wazuh"\n');
    expect(victim.add(A).lines).toHaveLength(5);
  });
});

describe('firewall.variant', () => {
  const OTHER = { nft: 'legacy', legacy: 'nft' } as const;
  afterAll(() => {
    victim.host.useIptables('nft');
  });

  test.each<IptablesVariant>(['nft', 'legacy'])(
    '"%s" is used on a host that prefers the other variant',
    (variant) => {
      victim.host.useIptables(OTHER[variant]);
      victim.configure(`[firewall]\nvariant = "${variant}"\n`);
      expect(victim.person(['add', A, A6]).status).toBe(0);
      for (const address of [A, A6]) {
        expect(victim.host.rulesFor(address, { variant })).toHaveLength(2);
        expect(victim.host.rulesFor(address, { variant: OTHER[variant] })).toEqual([]);
      }
      expect(victim.person(['delete', A, A6]).status).toBe(0);
      for (const address of [A, A6]) {
        expect(victim.host.rulesFor(address, { variant })).toEqual([]);
      }
    },
  );
});

describe('firewall.chains', () => {
  test('selects the chains that get a rule', () => {
    inHost('iptables -w -N MINE');
    victim.configure('[firewall]\nchains = ["INPUT", "MINE"]\n');
    expect(victim.add(A).status).toBe(0);
    expect(victim.rules(A)).toEqual([`-A INPUT -s ${A}/32 -j DROP`, `-A MINE -s ${A}/32 -j DROP`]);
    expect(victim.delete(A).status).toBe(0);
    expect(victim.allRules()).toEqual([]);
    inHost('iptables -w -X MINE');
  });

  test('must name existing chains: otherwise no chain gets a rule, and the status is 69', () => {
    victim.configure('[firewall]\nchains = ["INPUT", "MISSING"]\n');
    const response = victim.add(A);
    expect(response.status).toBe(FIREWALL);
    expect(response.lines).toEqual([expect.stringMatching(ossecLine('failed', A))]);
    expect(victim.allRules()).toEqual([]);
    expect(victim.bans()).toEqual([]);
  });
});

describe.each<IptablesVariant>(['nft', 'legacy'])('DOCKER-USER with iptables-%s', (variant) => {
  beforeAll(() => {
    victim.host.useIptables(variant);
  });
  afterEach(() => {
    victim.reset();
    inHost('for each in iptables ip6tables; do $each -w -X DOCKER-USER 2>/dev/null; done; true');
  });
  afterAll(() => {
    victim.host.useIptables('nft');
  });
  const makeChain = (): void => {
    inHost('for each in iptables ip6tables; do $each -w -N DOCKER-USER; done');
  };

  test('gets a rule of each family if it exists', () => {
    makeChain();
    expect(victim.person(['add', A, A6]).status).toBe(0);
    for (const [address, source] of [
      [A, `${A}/32`],
      [A6, `${A6}/128`],
    ] as const) {
      expect(victim.rules(address).toSorted()).toEqual([
        `-A DOCKER-USER -s ${source} -j DROP`,
        `-A FORWARD -s ${source} -j DROP`,
        `-A INPUT -s ${source} -j DROP`,
      ]);
    }
    expect(victim.person(['delete', A, A6]).status).toBe(0);
    expect(victim.allRules()).toEqual([]);
  });

  test('is left alone with docker = false', () => {
    makeChain();
    victim.configure('[firewall]\ndocker = false\n');
    expect(victim.add(A).status).toBe(0);
    expect(victim.rules(A)).toHaveLength(2);
  });

  test('can appear and disappear between two runs', () => {
    victim.add('203.0.113.8');
    makeChain();
    expect(victim.add(A).status).toBe(0);
    expect(victim.rules(A)).toHaveLength(3);
    victim.add('203.0.113.9');
    inHost('iptables -w -F DOCKER-USER; iptables -w -X DOCKER-USER');
    expect(victim.add('203.0.113.10').status).toBe(0);
    expect(victim.rules('203.0.113.10')).toHaveLength(2);
    expect(victim.delete(A).status).toBe(0);
    expect(victim.rules(A)).toEqual([]);
  });

  test('gets its rule from `restore` if it appears after a block, and loses it when the address is unblocked', () => {
    victim.add(A);
    makeChain();
    expect(victim.person(['restore']).stdout).toBe('1 ban restored\n');
    expect(victim.rules(A)).toHaveLength(3);
    expect(victim.delete(A).status).toBe(0);
    expect(victim.allRules()).toEqual([]);
  });
});

describe('log', () => {
  test('program_name sets the name in the lines', () => {
    victim.configure('[log]\nprogram_name = "host-block"\n');
    expect(victim.add(A).lines).toEqual([
      expect.stringMatching(ossecLine('add', A, { name: 'host-block' })),
    ]);
  });

  test('level = "silent" switches firewall-drop.log off, and the line of a block is still written', () => {
    victim.configure('nonsense = 1\n[log]\nlevel = "silent"\n');
    expect(victim.add('127.0.0.1').lines).toHaveLength(1);
    expect(victim.troubles().filter((line) => !line.includes('nonsense'))).toEqual([]);
  });
});

describe('an alert', () => {
  const add = (data: JsonObject): string | number | null => {
    const { status } = victim.add('', { data });
    return status === 0 ? (victim.bans()[0]?.address ?? null) : status;
  };

  // test/unit/wazuh/source.test.ts checks every field.
  test.each<[string, JsonObject]>([
    ['srcip2 if srcip is a host name', { srcip: 'attacker.example', srcip2: A }],
    ['a Windows logon', { win: { eventdata: { ipAddress: A, destinationIp: '192.0.2.1' } } }],
  ])('blocks by default the address of %s', (_, data) => {
    expect(add(data)).toBe(A);
  });

  test.each<[string, JsonObject]>([
    ['the victim', { win: { eventdata: { destinationIp: A } } }],
    ['a cloud service', { aws: { sourceIPAddress: A } }],
  ])('does not block by default the address of %s', (_, data) => {
    expect(add(data)).toBe(BAD_DATA);
  });

  test('blocks the address in the first of address_fields that has one, and in no other field', () => {
    victim.configure('[alert]\naddress_fields = ["data.custom.peer", "data.remip"]\n');
    expect(add({ srcip: '192.0.2.1', remip: '192.0.2.2', custom: { peer: A } })).toBe(A);
    victim.person(['delete', A]);
    expect(add({ remip: A, custom: { peer: 'unknown' } })).toBe(A);
    expect(add({ srcip: A })).toBe(BAD_DATA);
  });

  test('blocks the address of a cloud service if cloud_fields is on and no other field has one', () => {
    victim.configure('[alert]\ncloud_fields = true\n');
    expect(add({ aws: { sourceIPAddress: A } })).toBe(A);
    victim.person(['delete', A]);
    expect(add({ aws: { sourceIPAddress: '192.0.2.1' }, remip: A })).toBe(A);
  });
});
