// Tests policy with whole responses: the manager's arguments, the entries, escalation, aggregation, the limits, and the
// ends of bans.
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
  test('release unblocks with a log line and without a key exchange', () => {
    agent.alert(A);
    agent.written = '';
    expect(agent.alert(A, { arguments: ['release'] })).toBe(0);
    expect(agent.host.rulesFor(A)).toEqual([0, 0]);
    expect(agent.lines()).toEqual([`add ${A}`, `delete ${A}`]);
    expect(agent.written).toBe('');
  });

  test('release ends the holds of all origins, even on a protected address', () => {
    agent.alert(A, { arguments: ['keep', 'timeout=never'] });
    agent.ossec('add', A);
    expect(agent.alert(A, { arguments: ['release'] })).toBe(0);
    expect(agent.banned()).toEqual([]);
    agent.host.kernel.insert('INPUT', '-s 198.51.100.1/32 -j DROP');
    expect(agent.alert('198.51.100.1', { arguments: ['release'] })).toBe(0);
    expect(agent.host.kernel.rules('INPUT')).toEqual([]);
  });

  test('release of an address that is not blocked changes nothing and is not an error', () => {
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

  test('a hold with timeout ends by execd’s delete, or by itself after its timeout', () => {
    agent.alert(A, { arguments: ['timeout=2h'] });
    agent.wait(601);
    agent.alert(A, { command: 'delete' });
    expect(agent.banned()).toEqual([]);
    agent.alert(A, { arguments: ['timeout=5m'] });
    agent.wait(300);
    expect(agent.host.rulesFor(A)).toEqual([0, 0]);
  });

  test('a hold with keep continues after an early delete of execd', () => {
    agent.alert(A, { arguments: ['keep', 'timeout=2h'] });
    agent.wait(601);
    agent.alert(A, { command: 'delete' });
    expect(agent.host.rulesFor(A)).toEqual([1, 1]);
    expect(agent.lines()).toEqual([`add ${A}`, `kept ${A}`]);
    agent.wait(7200 - 601);
    expect(agent.host.rulesFor(A)).toEqual([0, 0]);
    expect(agent.lines().at(-1)).toBe(`delete ${A}`);
  });

  test('a reason is the text after it', () => {
    agent.alert(A, { arguments: ['keep', 'reason=scans', 'our', 'shop', 'release'] });
    expect(agent.host.openStore().bans.find(addressOf(A))?.holds[0]?.reason).toBe(
      'scans our shop release',
    );
  });

  test('an unknown word is reported and ignored', () => {
    agent.alert(A, { arguments: ['relase', 'null'] });
    expect(agent.host.warnings).toEqual([
      'ignored unknown arguments of the active response: ["relase","null"]',
    ]);
    expect(agent.host.rulesFor(A)).toEqual([1, 1]);
  });

  test('Wazuh 5 sends the arguments as one text', () => {
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

  test('no field of an alert can supply arguments', () => {
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

  /** Adds a ban that execd ends after its own timeout, and returns the holds that continue. */
  function offend(): string[] {
    agent.alert(A);
    agent.wait(601);
    agent.alert(A, { command: 'delete' });
    return agent.holds(A);
  }

  test('the n-th ban lasts at least the n-th value, and all later bans the last one', () => {
    expect(offend()).toEqual([]);
    expect(offend()).toEqual(['repeat:2999']);
    agent.wait(3000);
    expect(offend()).toEqual([`repeat:${86_400 - 601}`]);
    agent.wait(86_400);
    expect(offend()).toEqual([`repeat:${86_400 - 601}`]);
    expect(agent.lines()).toContain(`kept ${A}`);
  });

  test('an alert during a ban does not count as another ban', () => {
    agent.alert(A);
    agent.wait(60);
    agent.alert(A);
    agent.alert(A, { answer: 'abort' });
    expect(agent.host.openStore().offences.count(0).get(A)).toBe(1);
    expect(agent.holds(A)).toEqual(['repeat:600', `wazuh:${600 + GRACE}`]);
  });

  test('a ban counts within the window only', () => {
    offend();
    agent.wait(30 * 86_400);
    expect(offend()).toEqual([]);
  });

  test('a release by hand ends the ban without resetting the count, and forgive resets it', () => {
    offend();
    agent.alert(A);
    agent.alert(A, { arguments: ['release'] });
    expect(agent.banned()).toEqual([]);
    expect(agent.host.openStore().offences.count(0).get(A)).toBe(2);
    expect(agent.host.openStore().offences.forgive(addressOf(A))).toBe(2);
    expect(offend()).toEqual([]);
  });

  test('a failed block and a ban that only a person holds do not count', () => {
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

  test('works the same for OSSEC and Wazuh 5', () => {
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

  test('the first entry that matches decides', () => {
    agent.configure(
      '[[policy]]\nrule_id = [5710]\ntimeout = "2h"\n[[policy]]\naction = "ignore"\n',
    );
    expect(agent.alert(A)).toBe(0);
    expect(agent.alert('203.0.113.10', { ruleId: '1' })).toBe(REFUSED);
  });

  test('timeout sets the end of the ban, regardless of execd’s delete', () => {
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

  test('timeout_max limits all other timeouts', () => {
    agent.configure(
      '[escalation]\ntimeouts = ["24h"]\n[[policy]]\ntimeout = "never"\ntimeout_max = "5m"\n',
    );
    agent.alert(A, { arguments: ['timeout=7d'] });
    expect(agent.holds(A)).toEqual(['repeat:300', 'wazuh:300']);
    agent.alert('203.0.113.10');
    expect(agent.holds('203.0.113.10')).toEqual(['policy:300', 'repeat:300']);
  });

  test('a later alert does not shorten a hold of policy', () => {
    agent.alert(A, { arguments: ['keep', 'timeout=2h'] });
    agent.alert(A, { arguments: ['keep', 'timeout=1m'] });
    expect(agent.holds(A)).toEqual(['policy:7200']);
    agent.alert(A, { arguments: ['keep', 'timeout=never'] });
    agent.alert(A, { arguments: ['keep', 'timeout=1m'] });
    expect(agent.holds(A)).toEqual(['policy:never']);
  });

  test('a condition on a field that OSSEC does not pass is not met', () => {
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

  test('applies together with our own entries, and the stricter limit counts', () => {
    agent.configure('[[policy]]\ntimeout = "2h"\ntimeout_max = "1h"\n');
    agent.configureGroup('[[policy]]\ntimeout_max = "90m"\n');
    agent.alert(A);
    expect(agent.holds(A)).toEqual(['policy:3600']);
    agent.configureGroup('[[policy]]\naction = "ignore"\n');
    expect(agent.alert('203.0.113.10')).toBe(REFUSED);
  });

  test('can do nothing else, and each attempt is reported with its line', () => {
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

describe('only the first of thousands of mistakes in a group’s file are reported', () => {
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

  test('the network of an IPv6 offender is banned, is the key for execd, and is unblocked by a delete', () => {
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

  test('only the offender is banned if its network contains a protected address', () => {
    agent.configure('[aggregate]\nipv6_prefix = 64\nipv4_prefix = 24\nipv4_count = 1\n');
    agent.alert('2001:db8:0:1::9');
    agent.alert('198.51.100.9');
    expect(agent.banned()).toEqual(['2001:db8:0:1::9', '198.51.100.9']);
  });

  test('a network that OSSEC had banned lasts until its own deadline', () => {
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

    test('enough bans in one network become a ban of the network until the last of their deadlines', () => {
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

    test('another alert about a counted address does not count again', () => {
      agent.alert('203.0.113.2');
      expect(agent.banned()).toEqual(['203.0.113.1', '203.0.113.2']);
    });

    test('a ban that a person holds too is neither counted nor changed', () => {
      const manual = holdRequest({ origin: 'manual', timeoutSeconds: null });
      block(addressOf('203.0.113.2'), manual, agent.host.newRun());
      agent.alert('203.0.113.3');
      expect(agent.banned()).toHaveLength(3);
      agent.alert('203.0.113.4');
      expect(agent.banned()).toEqual(['203.0.113.2', NET]);
      expect(agent.holds('203.0.113.2')).toContain('manual:never');
    });

    test('bans in another network do not count', () => {
      agent.alert('203.0.114.3');
      agent.alert('20.0.113.3');
      expect(agent.banned()).toHaveLength(4);
    });

    test('bans outside of a /28 network do not count', () => {
      agent.configure('[aggregate]\nipv4_prefix = 28\nipv4_count = 3\n');
      agent.alert('203.0.113.16');
      expect(agent.banned()).toHaveLength(3);
      agent.alert('203.0.113.15');
      expect(agent.banned()).toEqual(['203.0.113.16', '203.0.113.0/28']);
    });

    test('a delete of one address in the network does not end the ban, and history has the reason', () => {
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

    test('a release of one address in the network ends the ban of the network', () => {
      agent.alert('203.0.113.3');
      expect(agent.alert('203.0.113.2', { arguments: ['release'] })).toBe(0);
      expect(agent.banned()).toEqual([]);
      expect(agent.host.rulesFor(NET)).toEqual([0, 0]);
      expect(agent.lines().at(-1)).toBe(`delete ${NET}`);
    });

    test('an alert during the ban does not shorten it', () => {
      agent.alert('203.0.113.3');
      agent.alert('203.0.113.4');
      expect(agent.holds(NET)).toEqual(['policy:7190']);
    });

    test('an alert whose timeout_max is shorter than the others’ deadlines bans its address only', () => {
      agent.configure(
        '[aggregate]\nipv4_count = 3\n[[policy]]\nrule_id = [7]\ntimeout_max = "10m"\n',
      );
      agent.alert('203.0.113.3', { ruleId: '7' });
      expect(agent.banned()).toHaveLength(3);
    });

    test('an alert with a timeout_max does not end a ban without a deadline', () => {
      agent.alert('203.0.113.1', { arguments: ['keep', 'timeout=never'] });
      agent.configure('[aggregate]\nipv4_count = 3\n[[policy]]\ntimeout_max = "7d"\n');
      agent.alert('203.0.113.3');
      expect(agent.banned()).toHaveLength(3);
      expect(agent.holds('203.0.113.1')).toContain('policy:never');
    });
  });
});

describe('limits.bans_per_minute', () => {
  beforeEach(() => {
    agent.configure('[limits]\nbans_per_minute = 3\n');
    for (const last of [1, 2, 3]) agent.alert(`203.0.113.${last}`);
  });

  test('refuses further bans within a minute, and raises one alert per minute', () => {
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

  test('counts only bans that begin, not bans that end', () => {
    agent.wait(60);
    for (const last of [4, 5]) {
      agent.alert(`203.0.113.${last}`);
      agent.alert(`203.0.113.${last}`, { command: 'delete' });
    }
    expect(agent.alert('203.0.113.6')).toBe(0);
    expect(agent.alert('203.0.113.7')).toBe(REFUSED);
  });

  test('does not limit alerts about banned addresses, deletes and releases', () => {
    expect(agent.alert('203.0.113.1')).toBe(0);
    expect(agent.alert('203.0.113.1', { command: 'delete' })).toBe(0);
    expect(agent.alert('203.0.113.2', { arguments: ['release'] })).toBe(0);
    expect(agent.banned()).toEqual(['203.0.113.3']);
  });
});

describe('firewall.keep_on_agent_stop', () => {
  test('keeps a ban until its own deadline if execd’s delete comes before its timeout', () => {
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

  test('ends a ban if execd’s delete comes at a timeout that can apply', () => {
    agent.configure('[firewall]\nkeep_on_agent_stop = true\n');
    agent.timeouts = [600, 3600];
    agent.alert(A);
    agent.wait(601);
    agent.alert(A, { command: 'delete' });
    expect(agent.banned()).toEqual([]);
  });

  test('uses the timeout in the message if there is one', () => {
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

  test('is off by default, so that an agent that stops unblocks', () => {
    agent.alert(A);
    agent.alert(A, { command: 'delete' });
    expect(agent.banned()).toEqual([]);
  });
});
