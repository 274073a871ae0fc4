// Policy, over whole responses: what the manager's arguments, the entries, escalation, aggregation and the limits make of
// an alert, and what ends it.
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { block } from '../../../src/bans/block.ts';
import { refuses } from '../support/kernel.ts';
import { addressOf, holdRequest } from '../support/workshop.ts';
import { Responder } from '../support/responder.ts';

const A = '203.0.113.9';
const REFUSED = 65;

let agent: Responder;
beforeEach(() => {
  agent = new Responder();
});
afterEach(() => {
  agent.close();
});

const GRACE = 60;

describe('arguments from the manager', () => {
  test('release unblocks, with a line and without a word to execd', () => {
    agent.alert(A);
    agent.written = '';
    expect(agent.alert(A, { arguments: ['release'] })).toBe(0);
    expect(agent.host.rulesFor(A)).toEqual([0, 0]);
    expect(agent.lines()).toEqual([`add ${A}`, `delete ${A}`]);
    expect(agent.written).toBe('');
  });

  test('release ends what anybody holds, and is right about a protected address too', () => {
    agent.alert(A, { arguments: ['keep', 'timeout=never'] });
    agent.ossec('add', A);
    expect(agent.alert(A, { arguments: ['release'] })).toBe(0);
    expect(agent.banned()).toEqual([]);
    agent.host.kernel.insert('INPUT', '-s 198.51.100.1/32 -j DROP');
    expect(agent.alert('198.51.100.1', { arguments: ['release'] })).toBe(0);
    expect(agent.host.kernel.rules('INPUT')).toEqual([]);
  });

  test('release of what is not blocked changes nothing, and is no error', () => {
    expect(agent.alert(A, { arguments: ['release'] })).toBe(0);
    expect(agent.lines()).toEqual([]);
  });

  test.each([
    [['timeout=2h'], [`wazuh:7200`]],
    [['timeout=never'], ['wazuh:never']],
    [['keep'], [`policy:${600 + GRACE}`]],
    [['keep', 'timeout=2h'], ['policy:7200']],
    [['timeout=2h', 'timeout=3h'], ['wazuh:7200']],
    [['timeout=2x'], [`wazuh:${600 + GRACE}`]],
    [['-', 'srcip'], [`wazuh:${600 + GRACE}`]],
  ])('%j gives %j', (words, holds) => {
    agent.alert(A, { arguments: words });
    expect(agent.holds(A)).toEqual(holds);
  });

  test('timeout ends with a delete of execd that comes before it, and by itself otherwise', () => {
    agent.alert(A, { arguments: ['timeout=2h'] });
    agent.wait(601);
    agent.alert(A, { command: 'delete' });
    expect(agent.banned()).toEqual([]);
    agent.alert(A, { arguments: ['timeout=5m'] });
    agent.wait(300);
    expect(agent.host.rulesFor(A)).toEqual([0, 0]);
  });

  test('keep outlives a delete of execd that comes before its timeout', () => {
    agent.alert(A, { arguments: ['keep', 'timeout=2h'] });
    agent.wait(601);
    agent.alert(A, { command: 'delete' });
    expect(agent.host.rulesFor(A)).toEqual([1, 1]);
    expect(agent.lines()).toEqual([`add ${A}`, `kept ${A}`]);
    agent.wait(7200 - 601);
    expect(agent.host.rulesFor(A)).toEqual([0, 0]);
    expect(agent.lines().at(-1)).toBe(`delete ${A}`);
  });

  test('a reason is all that stands behind it', () => {
    agent.alert(A, { arguments: ['keep', 'reason=scans', 'our', 'shop', 'release'] });
    expect(agent.host.openStore().bans.find(addressOf(A))?.holds[0]?.reason).toBe(
      'scans our shop release',
    );
  });

  test('a word that means nothing is said, and ignored', () => {
    agent.alert(A, { arguments: ['relase', 'null'] });
    expect(agent.host.warnings).toEqual([
      'ignored unknown arguments of the active response: ["relase","null"]',
    ]);
    expect(agent.host.rulesFor(A)).toEqual([1, 1]);
  });

  test('Wazuh 5 gives them in one text', () => {
    const response = {
      type: 'stateful',
      stateful_timeout: 60,
      extra_arguments: ' keep timeout=1h ',
    };
    const message = { wazuh: { active_response: response }, source: { ip: A }, command: 'enable' };
    agent.say(message);
    expect(agent.holds(A)).toEqual(['policy:3600']);
    agent.say({ ...message, command: 'disable' });
    expect(agent.lines()).toEqual([`add ${A}`, `kept ${A}`]);
    agent.say({
      ...message,
      wazuh: { active_response: { ...response, extra_arguments: 'release' } },
    });
    expect(agent.banned()).toEqual([]);
  });

  test('nothing in an alert supplies them', () => {
    const extra = {
      extra_args: ['release'],
      data: { srcip: A, extra_args: ['release'] },
      full_log: '"extra_args":["release"]',
    };
    agent.alert(A, { extra });
    expect(agent.holds(A)).toEqual([`wazuh:${600 + GRACE}`]);
  });
});

describe('escalation', () => {
  beforeEach(() => {
    agent.configure('[escalation]\ntimeouts = ["10m", "1h", "24h"]\nwindow = "30d"\n');
  });

  /** A ban that execd ends after its own timeout, and what of it goes on. */
  function offend(): string[] {
    agent.alert(A);
    agent.wait(601);
    agent.alert(A, { command: 'delete' });
    return agent.holds(A);
  }

  test('the n-th ban lasts at least the n-th value, the last one for all further', () => {
    expect(offend()).toEqual([]);
    expect(offend()).toEqual(['repeat:2999']);
    agent.wait(3000);
    expect(offend()).toEqual([`repeat:${86_400 - 601}`]);
    agent.wait(86_400);
    expect(offend()).toEqual([`repeat:${86_400 - 601}`]);
    expect(agent.lines()).toContain(`kept ${A}`);
  });

  test('an alert while the ban goes on is no further ban', () => {
    agent.alert(A);
    agent.wait(60);
    agent.alert(A);
    agent.alert(A, { answer: 'abort' });
    expect(agent.host.openStore().offences.count(0).get(A)).toBe(1);
    expect(agent.holds(A)).toEqual(['repeat:600', `wazuh:${600 + GRACE}`]);
  });

  test('a ban counts for as long as the window', () => {
    offend();
    agent.wait(30 * 86_400);
    expect(offend()).toEqual([]);
  });

  test('a release by hand ends the ban and does not reset the count; forgive does', () => {
    offend();
    agent.alert(A);
    agent.alert(A, { arguments: ['release'] });
    expect(agent.banned()).toEqual([]);
    expect(agent.host.openStore().offences.count(0).get(A)).toBe(2);
    expect(agent.host.openStore().offences.forgive(addressOf(A))).toBe(2);
    expect(offend()).toEqual([]);
  });

  test('what a person bans is not counted, unless an alert holds it too, and a block that failed neither', () => {
    agent.host.kernel.disturbAlways(refuses(1, 'no'));
    expect(agent.alert(A)).not.toBe(0);
    agent.host.kernel.disturbAlways(null);
    const manual = holdRequest({ origin: 'manual', timeoutSeconds: null });
    agent.host.countsOffences = true;
    block(addressOf(A), manual, agent.host.newRun());
    expect(agent.host.openStore().offences.count(0).size).toBe(0);
    agent.alert(A);
    agent.alert(A);
    expect(agent.host.openStore().offences.count(0)).toEqual(new Map([[A, 1]]));
  });

  test('is the same from OSSEC and from Wazuh 5', () => {
    offend();
    agent.wait(1000);
    agent.ossec('add', A);
    expect(agent.holds(A)).toEqual([`ossec:${600 + GRACE + 90}`, 'repeat:3600']);
  });
});

describe('[[policy]]', () => {
  test.each([
    ['rule_id = [5710]', true],
    ['rule_id = ["5711", 5710]', true],
    ['rule_id = [5711]', false],
    ['level_min = 5', true],
    ['level_min = 6', false],
    ['group = ["web", "sshd"]', true],
    ['group = ["web"]', false],
    ['agent = ["web01"]', true],
    ['agent = ["web02"]', false],
    ['address = ["203.0.113.0/24"]', true],
    ['address = ["203.0.114.0/24", "2001:db8::/32"]', false],
    ['field = ["data.srcuser=root", "data.port=22"]', true],
    ['field = ["data.srcuser=root", "data.port=23"]', false],
    ['field = ["data.nothing="]', false],
    ['rule_id = [5710]\nagent = ["web02"]', false],
    ['', true],
  ])('%j is met: %j', (conditions, met) => {
    agent.configure(`[[policy]]\n${conditions}\naction = "ignore"\n`);
    const extra = { data: { srcip: A, srcuser: 'root', port: 22 } };
    expect(agent.alert(A, { extra })).toBe(met ? REFUSED : 0);
    expect(agent.lines()).toEqual([met ? `refused ${A}` : `add ${A}`]);
    expect(agent.written === '').toBe(met);
  });

  test('the first entry that is met decides', () => {
    agent.configure(
      '[[policy]]\nrule_id = [5710]\ntimeout = "2h"\n[[policy]]\naction = "ignore"\n',
    );
    expect(agent.alert(A)).toBe(0);
    expect(agent.alert('203.0.113.10', { ruleId: '1' })).toBe(REFUSED);
  });

  test('a timeout is the end of the ban, whenever execd deletes it', () => {
    agent.configure('[[policy]]\ntimeout = "2h"\n');
    agent.alert(A);
    agent.wait(601);
    agent.alert(A, { command: 'delete' });
    expect(agent.holds(A)).toEqual([`policy:${7200 - 601}`]);
    agent.configure('[[policy]]\ntimeout = "1m"\n');
    agent.alert('203.0.113.10');
    agent.wait(60);
    expect(agent.banned()).toEqual([A]);
  });

  test('timeout_max shortens whatever else there is', () => {
    agent.configure(
      '[escalation]\ntimeouts = ["24h"]\n[[policy]]\ntimeout = "never"\ntimeout_max = "5m"\n',
    );
    agent.alert(A, { arguments: ['timeout=7d'] });
    expect(agent.holds(A)).toEqual(['repeat:300', 'wazuh:300']);
    agent.alert('203.0.113.10');
    expect(agent.holds('203.0.113.10')).toEqual(['policy:300', 'repeat:300']);
  });

  test('a later alert does not shorten what policy gave', () => {
    agent.alert(A, { arguments: ['keep', 'timeout=2h'] });
    agent.alert(A, { arguments: ['keep', 'timeout=1m'] });
    expect(agent.holds(A)).toEqual(['policy:7200']);
    agent.alert(A, { arguments: ['keep', 'timeout=never'] });
    agent.alert(A, { arguments: ['keep', 'timeout=1m'] });
    expect(agent.holds(A)).toEqual(['policy:never']);
  });

  test('what OSSEC does not say of an alert meets no condition on it', () => {
    for (const condition of ['level_min = 1', 'group = ["web"]', 'agent = ["web01"]']) {
      agent.configure(`[[policy]]\n${condition}\naction = "ignore"\n`);
      expect([condition, agent.ossec('add', A)]).toEqual([condition, 0]);
    }
  });
});

describe('policy of an agent group', () => {
  test('protects, ignores and shortens', () => {
    const problems = agent.configureGroup(`
[protect]
allow = ["203.0.113.9"]
[[policy]]
rule_id = [1]
action = "ignore"
[[policy]]
timeout_max = "2m"
`);
    expect(problems).toEqual([]);
    expect(agent.alert(A)).toBe(REFUSED);
    expect(agent.alert('203.0.113.10', { ruleId: '1' })).toBe(REFUSED);
    expect(agent.alert('203.0.113.11', { arguments: ['timeout=never'] })).toBe(0);
    expect(agent.holds('203.0.113.11')).toEqual(['wazuh:120']);
  });

  test('is heard beside our own entries, and the stricter limit counts', () => {
    agent.configure('[[policy]]\ntimeout = "2h"\ntimeout_max = "1h"\n');
    agent.configureGroup('[[policy]]\ntimeout_max = "90m"\n');
    agent.alert(A);
    expect(agent.holds(A)).toEqual(['policy:3600']);
    agent.configureGroup('[[policy]]\naction = "ignore"\n');
    expect(agent.alert('203.0.113.10')).toBe(REFUSED);
  });

  test('can do nothing else, and each attempt is named with its line', () => {
    const problems = agent.configureGroup(`[protect]
allow = ["203.0.113.9"]
gateways = false
[firewall]
backend = "nftables"
[limits]
bans_per_minute = 0
[[policy]]
timeout = "never"
`);
    const why =
      'is refused: this file can only have protect.allow and [[policy]] entries that ignore alerts or shorten bans';
    expect(problems).toEqual([
      `firewall-drop.toml:3: \`protect.gateways\` ${why}`,
      `firewall-drop.toml:5: \`firewall.backend\` ${why}`,
      `firewall-drop.toml:7: \`limits.bans_per_minute\` ${why}`,
      expect.stringMatching(/^firewall-drop\.toml:9: \[\[policy\]\] 1: unknown key `"timeout"`/),
    ]);
    agent.alert('203.0.113.10');
    expect(agent.holds('203.0.113.10')).toEqual([`wazuh:${600 + GRACE}`]);
  });
});

describe('of a group’s file with thousands of mistakes only the first are named', () => {
  const lines = (line: (index: number) => string): string => {
    return Array.from({ length: 5000 }, (_, index) => line(index)).join('\n');
  };

  test.each([
    ['names', lines((index) => `k${index} = 1`)],
    ['addresses', `[protect]\nallow = [\n${lines((index) => `"x${index}",`)}\n]`],
    ['keys of an entry', `[[policy]]\n${lines((index) => `k${index} = 1`)}`],
    ['entries', lines(() => '[[policy]]\nx = 1')],
  ])('%s', (_, toml) => {
    const problems = agent.configureGroup(toml);
    expect(problems.length).toBeGreaterThan(10);
    expect(problems.length).toBeLessThan(60);
    expect(problems.filter((problem) => problem.endsWith('are not listed'))).not.toEqual([]);
  });
});

describe('aggregation', () => {
  const NET = '203.0.113.0/24';

  test('an IPv6 offender has its network banned, with the key and the delete of it', () => {
    agent.configure('[aggregate]\nipv6_prefix = 64\n');
    agent.alert('2001:db8:0:2::9');
    expect(agent.banned()).toEqual(['2001:db8:0:2::/64']);
    expect(agent.written).toContain('"keys":["2001:db8:0:2::/64"]');
    agent.alert('2001:db8:0:2::77', { command: 'delete' });
    expect(agent.banned()).toEqual([]);
    expect(agent.lines()).toEqual(['add 2001:db8:0:2::/64', 'delete 2001:db8:0:2::/64']);
  });

  test.each([
    ['switched off', ''],
    ['given another prefix', '[aggregate]\nipv6_prefix = 48\n'],
  ])('a delete finds the network that was banned before it was %s', (_, toml) => {
    agent.configure('[aggregate]\nipv6_prefix = 64\n');
    agent.alert('2001:db8:0:2::9');
    agent.configure(toml);
    agent.alert('2001:db8:0:3::9', { command: 'delete' });
    expect(agent.banned()).toEqual(['2001:db8:0:2::/64']);
    agent.alert('2001:db8:0:2::9', { command: 'delete' });
    expect(agent.banned()).toEqual([]);
  });

  test('where the network has a protected address, the offender alone is banned', () => {
    agent.configure('[aggregate]\nipv6_prefix = 64\nipv4_prefix = 24\nipv4_count = 1\n');
    agent.alert('2001:db8:0:1::9');
    agent.alert('198.51.100.9');
    expect(agent.banned()).toEqual(['2001:db8:0:1::9', '198.51.100.9']);
  });

  test('from OSSEC a network lasts until its own deadline', () => {
    agent.configure('[aggregate]\nipv6_prefix = 64\n');
    agent.ossec('add', '2001:db8:0:2::9');
    agent.ossec('delete', '2001:db8:0:2::9');
    expect(agent.banned()).toEqual(['2001:db8:0:2::/64']);
    agent.wait(600 + GRACE + 90);
    expect(agent.banned()).toEqual([]);
  });

  describe('of IPv4', () => {
    beforeEach(() => {
      agent.configure('[aggregate]\nipv4_prefix = 24\nipv4_count = 3\n');
      agent.alert('203.0.113.1', { arguments: ['keep', 'timeout=2h'] });
      agent.alert('203.0.113.2');
      agent.wait(10);
    });

    test('so many of one network become one ban of it, until the last of their deadlines', () => {
      agent.alert('203.0.113.3');
      expect(agent.banned()).toEqual([NET]);
      expect(agent.holds(NET)).toEqual(['policy:7190']);
      expect(agent.host.rulesFor('203.0.113.1')).toEqual([0, 0]);
      expect(agent.host.rulesFor(NET)).toEqual([1, 1]);
      expect(agent.lines().slice(2).sort()).toEqual([
        `add ${NET}`,
        'kept 203.0.113.1',
        'kept 203.0.113.2',
      ]);
    });

    test('another alert on one of them is no further one', () => {
      agent.alert('203.0.113.2');
      expect(agent.banned()).toEqual(['203.0.113.1', '203.0.113.2']);
    });

    test('one that a person bans as well is neither counted nor touched', () => {
      const manual = holdRequest({ origin: 'manual', timeoutSeconds: null });
      block(addressOf('203.0.113.2'), manual, agent.host.newRun());
      agent.alert('203.0.113.3');
      expect(agent.banned()).toHaveLength(3);
      agent.alert('203.0.113.4');
      expect(agent.banned()).toEqual(['203.0.113.2', NET]);
      expect(agent.holds('203.0.113.2')).toContain('manual:never');
    });

    test('neighbours in another network do not count', () => {
      agent.alert('203.0.114.3');
      agent.alert('20.0.113.3');
      expect(agent.banned()).toHaveLength(4);
    });

    test('nor do those beyond a network whose length is no whole number of bytes', () => {
      agent.configure('[aggregate]\nipv4_prefix = 28\nipv4_count = 3\n');
      agent.alert('203.0.113.16');
      expect(agent.banned()).toHaveLength(3);
      agent.alert('203.0.113.15');
      expect(agent.banned()).toEqual(['203.0.113.16', '203.0.113.0/28']);
    });

    test('a delete of a single address in it is kept, and explained', () => {
      agent.alert('203.0.113.3');
      for (const last of [1, 2, 3]) agent.alert(`203.0.113.${last}`, { command: 'delete' });
      expect(agent.banned()).toEqual([NET]);
      expect(agent.lines().slice(-3)).toEqual([1, 2, 3].map((last) => `kept 203.0.113.${last}`));
      const address = addressOf('203.0.113.2');
      const history = agent.host
        .openStore()
        .history.find({ address, sinceMs: 0, afterId: 0, limit: 9 });
      expect(history.map(({ reason }) => reason)).toEqual([
        'why',
        `part of ${NET}`,
        `part of ${NET}`,
      ]);
    });

    test('a release of a single address undoes the whole', () => {
      agent.alert('203.0.113.3');
      expect(agent.alert('203.0.113.2', { arguments: ['release'] })).toBe(0);
      expect(agent.banned()).toEqual([]);
      expect(agent.host.rulesFor(NET)).toEqual([0, 0]);
      expect(agent.lines().at(-1)).toBe(`delete ${NET}`);
    });

    test('what comes while it lasts does not shorten it', () => {
      agent.alert('203.0.113.3');
      agent.alert('203.0.113.4');
      expect(agent.holds(NET)).toEqual(['policy:7190']);
    });

    test('an alert that may not have anything banned that long bans its address alone', () => {
      agent.configure(
        '[aggregate]\nipv4_count = 3\n[[policy]]\nrule_id = [7]\ntimeout_max = "10m"\n',
      );
      agent.alert('203.0.113.3', { ruleId: '7' });
      expect(agent.banned()).toHaveLength(3);
    });

    test('nor does one with a longest time end a ban that has no end', () => {
      agent.alert('203.0.113.1', { arguments: ['keep', 'timeout=never'] });
      agent.configure('[aggregate]\nipv4_count = 3\n[[policy]]\ntimeout_max = "7d"\n');
      agent.alert('203.0.113.3');
      expect(agent.banned()).toHaveLength(3);
      expect(agent.holds('203.0.113.1')).toContain('policy:never');
    });
  });
});

describe('the fuse', () => {
  beforeEach(() => {
    agent.configure('[limits]\nbans_per_minute = 3\n');
    for (const last of [1, 2, 3]) agent.alert(`203.0.113.${last}`);
  });

  test('refuses what begins beyond it within a minute, and raises one alert a minute', () => {
    for (const last of [4, 5]) expect(agent.alert(`203.0.113.${last}`)).toBe(REFUSED);
    expect(agent.banned()).toHaveLength(3);
    expect(agent.lines().slice(3)).toEqual([
      'refused 203.0.113.4',
      'failed 203.0.113.4',
      'refused 203.0.113.5',
    ]);
    agent.wait(60);
    for (const last of [6, 7, 8]) expect(agent.alert(`203.0.113.${last}`)).toBe(0);
    expect(agent.alert('203.0.113.9')).toBe(REFUSED);
    expect(agent.lines().slice(-2)).toEqual(['refused 203.0.113.9', 'failed 203.0.113.9']);
  });

  test('counts what begins alone, and no end of a ban', () => {
    agent.wait(60);
    for (const last of [4, 5]) {
      agent.alert(`203.0.113.${last}`);
      agent.alert(`203.0.113.${last}`, { command: 'delete' });
    }
    expect(agent.alert('203.0.113.6')).toBe(0);
    expect(agent.alert('203.0.113.7')).toBe(REFUSED);
  });

  test('lets alerts through on what is banned already, deletes and releases', () => {
    expect(agent.alert('203.0.113.1')).toBe(0);
    expect(agent.alert('203.0.113.1', { command: 'delete' })).toBe(0);
    expect(agent.alert('203.0.113.2', { arguments: ['release'] })).toBe(0);
    expect(agent.banned()).toEqual(['203.0.113.3']);
  });
});

describe('firewall.keep_on_agent_stop', () => {
  test('keeps what execd deletes before its timeout can be over, until its own deadline', () => {
    agent.configure('[firewall]\nkeep_on_agent_stop = true\n');
    agent.timeouts = [600, 3600];
    agent.alert(A);
    agent.wait(300);
    agent.alert(A, { command: 'delete' });
    expect(agent.host.rulesFor(A)).toEqual([1, 1]);
    expect(agent.lines()).toEqual([`add ${A}`, `kept ${A}`]);
    agent.wait(3600 + GRACE - 300);
    expect(agent.lines().at(-1)).toBe(`delete ${A}`);
  });

  test('ends what execd deletes at a timeout that could apply', () => {
    agent.configure('[firewall]\nkeep_on_agent_stop = true\n');
    agent.timeouts = [600, 3600];
    agent.alert(A);
    agent.wait(601);
    agent.alert(A, { command: 'delete' });
    expect(agent.banned()).toEqual([]);
  });

  test('goes by the timeout in the message where there is one', () => {
    agent.configure('[firewall]\nkeep_on_agent_stop = true\n');
    const response = { type: 'stateful', stateful_timeout: 100 };
    const message = { wazuh: { active_response: response }, source: { ip: A }, command: 'enable' };
    agent.say(message);
    agent.wait(50);
    agent.say({ ...message, command: 'disable' });
    expect(agent.banned()).toEqual([A]);
    agent.wait(51);
    agent.say({ ...message, command: 'disable' });
    expect(agent.banned()).toEqual([]);
  });

  test('is off by default: an agent that stops unblocks', () => {
    agent.alert(A);
    agent.alert(A, { command: 'delete' });
    expect(agent.banned()).toEqual([]);
  });
});
