// config.toml on a real host: mistakes are told and cost no block, and every key does what it says.
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

describe('a mistake is reported with file, line and what to write, and does not stop a block', () => {
  // test/unit/config/config.test.ts has every kind of mistake.
  test.each([
    ['nonsense = 1', 1, 'unknown key `nonsense`'],
    ['[log]\ntotal_seconds = 5', 2, 'the keys of ['],
    ['# why\n[log]\nformat = "json"', 3, '"ossec" or "wazuh" or "both"'],
    ['[protect]\nallow = [\n  "192.0.2.1",\n  "203.0.113.999",\n]', 4, '"203.0.113.999" is not'],
    ['[log]\nformat = wazuh', 2, 'the whole file is ignored'],
  ])('%j in line %i is reported', (toml, line, advice) => {
    victim.configure(`${toml}\n`);
    const told = (text: string): void => {
      expect(text).toContain(`${CONFIG_FILE}:${line}: `);
      expect(text).toContain(advice);
    };
    blocksAllTheSame();
    told(victim.troubles().join('\n'));
    told(victim.person(['list']).stderr);
  });

  test('does not affect the other keys of the file', () => {
    victim.configure('[log]\nformat = "both"\nlevel = "loud"\n');
    expect(victim.add(A).lines).toHaveLength(6);
  });

  test('is reported by each run until it is corrected', () => {
    victim.configure('nonsense = 1\n');
    expect(victim.add(A).stderr).toContain('nonsense');
    expect(victim.add(A).stderr).toContain('nonsense');
    victim.configure('# mended\n');
    expect(victim.add(A).stderr).toBe('');
  });
});

test('the configuration holds for an executable that was removed since it was started', () => {
  victim.configure(`[protect]\nallow = ["${A}"]\n`);
  const start =
    'cp "$0" /var/tmp/old; exec 3</var/tmp/old; rm /var/tmp/old; exec /proc/self/fd/3 add "$1"';
  for (const time of ['first', 'second']) {
    const { stderr } = victim.host.run(['bash', '-c', start, builtBinary(), A]);
    expect([time, stderr]).toEqual([time, expect.stringContaining('protected')]);
    expect(victim.rules(A)).toEqual([]);
  }
});

describe('a file that can’t be used', () => {
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
  ])('because it %s is not read: the defaults hold, and a message says so', (_, spoil, word) => {
    victim.configure('[log]\nformat = "wazuh"\n');
    inHost(spoil);
    blocksAllTheSame();
    expect(victim.troubles().join('\n')).toContain(word);
  });

  test.each([
    ['is no TOML any more', `echo '[[[' >${CONFIG_FILE}`],
    ['has a half-written list', `printf '[protect]\\nallow = ["${A}"' >${CONFIG_FILE}`],
  ])('because it %s still protects what it protected before', (_, spoil) => {
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

  test('still protects what a file with a smaller mistake protected before', () => {
    victim.configure(`nonsense = 1\n[protect]\nallow = ["${A}"]\n`);
    expect(victim.add(A).status).toBe(BAD_DATA);
    expect(victim.add('203.0.113.8').status).toBe(0);
    inHost(`echo '[[[' >${CONFIG_FILE}`);
    expect(victim.add(A).status).toBe(BAD_DATA);
  });

  test('that changed and kept its size is read again', () => {
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
    '"%s" is used where the host prefers the other',
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
  test('are the chains that get a rule', () => {
    inHost('iptables -w -N MINE');
    victim.configure('[firewall]\nchains = ["INPUT", "MINE"]\n');
    expect(victim.add(A).status).toBe(0);
    expect(victim.rules(A)).toEqual([`-A INPUT -s ${A}/32 -j DROP`, `-A MINE -s ${A}/32 -j DROP`]);
    expect(victim.delete(A).status).toBe(0);
    expect(victim.allRules()).toEqual([]);
    inHost('iptables -w -X MINE');
  });

  test('must exist: otherwise nothing is blocked in some of them only, and the status says so', () => {
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

  test('gets a rule of each family where that chain exists', () => {
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

  test('may come and go between two runs', () => {
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

  test('that came after a block gets its rule from `restore`, and loses it when the address is unblocked', () => {
    victim.add(A);
    makeChain();
    expect(victim.person(['restore']).stdout).toBe('1 ban restored\n');
    expect(victim.rules(A)).toHaveLength(3);
    expect(victim.delete(A).status).toBe(0);
    expect(victim.allRules()).toEqual([]);
  });
});

describe('log', () => {
  test('program_name is the name in the lines', () => {
    victim.configure('[log]\nprogram_name = "host-block"\n');
    expect(victim.add(A).lines).toEqual([
      expect.stringMatching(ossecLine('add', A, { name: 'host-block' })),
    ]);
  });

  test('level = "silent" writes no log of its own, and still writes the line of the block', () => {
    victim.configure('nonsense = 1\n[log]\nlevel = "silent"\n');
    expect(victim.add('127.0.0.1').lines).toHaveLength(1);
    expect(victim.troubles().filter((line) => !line.includes('nonsense'))).toEqual([]);
  });
});

describe('alert', () => {
  const add = (data: JsonObject): string | number | null => {
    const { status } = victim.add('', { data });
    return status === 0 ? (victim.bans()[0]?.address ?? null) : status;
  };

  // test/unit/wazuh/source.test.ts has every field.
  test.each<[string, JsonObject]>([
    ['srcip2, where srcip is a host name', { srcip: 'attacker.example', srcip2: A }],
    ['a Windows logon', { win: { eventdata: { ipAddress: A, destinationIp: '192.0.2.1' } } }],
  ])('without address_fields is blocked by the address in %s', (_, data) => {
    expect(add(data)).toBe(A);
  });

  test.each<[string, JsonObject]>([
    ['the victim’s address', { win: { eventdata: { destinationIp: A } } }],
    ['a cloud service', { aws: { sourceIPAddress: A } }],
  ])('without address_fields is not blocked by %s', (_, data) => {
    expect(add(data)).toBe(BAD_DATA);
  });

  test('address_fields are tried in their order, and no others', () => {
    victim.configure('[alert]\naddress_fields = ["data.custom.peer", "data.remip"]\n');
    expect(add({ srcip: '192.0.2.1', remip: '192.0.2.2', custom: { peer: A } })).toBe(A);
    victim.person(['delete', A]);
    expect(add({ remip: A, custom: { peer: 'unknown' } })).toBe(A);
    expect(add({ srcip: A })).toBe(BAD_DATA);
  });

  test('cloud_fields are looked into last, when they are on', () => {
    victim.configure('[alert]\ncloud_fields = true\n');
    expect(add({ aws: { sourceIPAddress: A } })).toBe(A);
    victim.person(['delete', A]);
    expect(add({ aws: { sourceIPAddress: '192.0.2.1' }, remip: A })).toBe(A);
  });
});
