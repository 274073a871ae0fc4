// Checks `doctor` on hosts without problems, with missing programs, and with changes by other programs.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { builtBinary } from '../support/binary.ts';
import { changeState } from '../support/state.ts';
import { createVictim, type Victim } from '../support/victim.ts';

const A = '203.0.113.7';
const LOG = '/var/ossec/logs/active-responses.log';
const STATE = '/var/lib/firewall-drop';

let victim: Victim;
beforeAll(async () => {
  victim = await createVictim({ variant: 'nft' });
  const { host } = victim;
  // Remove what the machine that runs the tests has installed.
  host.must([
    'bash',
    '-c',
    'rm -rf /etc/cron.d /etc/crontab /etc/iptables /etc/systemd /etc/sysconfig',
  ]);
  host.must(['ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth1']);
  // An interface without a carrier does not count.
  for (const end of ['eth0', 'eth1']) host.must(['ip', 'link', 'set', end, 'up']);
  host.must(['ip', 'address', 'add', '2001:db8::5/64', 'dev', 'eth0']);
  host.mkdir(['/var/ossec/bin', '/etc/cron.d', '/etc/iptables', '/etc/systemd/system']);
  host.symlink('/bin/sleep', '/var/ossec/bin/wazuh-execd');
  host.writeFile('/var/ossec/VERSION.json', '{"version":"4.14.7","stage":"rc1"}');
});
beforeEach(() => {
  victim.reset();
  victim.setTimeouts(3600);
  // Without an entry in /etc/subuid, files of an ordinary user cannot have another owner.
  victim.host.must(['install', '-m', '0660', '/dev/null', LOG]);
  victim.host.must(['chown', '--reference=/var/ossec/logs', LOG]);
  victim.host.writeFile('/etc/cron.d/firewall-drop', CRON);
  victim.person(['expire']);
});
afterEach(() => {
  victim.host.must([
    'bash',
    '-c',
    'umount -q /usr/sbin/ipset /usr/sbin/nft; rm -f /etc/iptables/*',
  ]);
  victim.host.useIptables('nft');
});
afterAll(() => victim.dispose());

const CRON = `* * * * * root /var/ossec/active-response/bin/firewall-drop expire
@reboot root /var/ossec/active-response/bin/firewall-drop restore
`;

interface Examined {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs `doctor` in its own process namespace: with an execd, and without the processes of the machine that runs the
 * tests.
 */
function doctor(...options: readonly string[]): Examined {
  const script = '/var/ossec/bin/wazuh-execd 60 </dev/null >/dev/null 2>&1 & exec "$@"';
  const own = ['unshare', '--pid', '--fork', '--mount-proc', 'bash', '-c', script, 'doctor'];
  return victim.host.run([...own, victim.agent.program(), 'doctor', ...options]);
}

interface Document {
  readonly schema: number;
  readonly healthy: boolean;
  readonly checks: readonly {
    readonly check: string;
    readonly state: string;
    readonly what: string;
    readonly fix: string | null;
    readonly details: readonly string[];
  }[];
  readonly fixed: readonly { readonly remedy: string; readonly done: boolean }[];
}

function document(...options: readonly string[]): Document {
  return JSON.parse(doctor('--json', ...options).stdout) as Document;
}

/** Returns `state: what` of one check. */
function told(check: string, { checks }: Document = document()): string {
  const own = checks.filter((one) => one.check === check);
  return own.map(({ state, what }) => `${state}: ${what}`).join('\n');
}

/** Replaces values that differ between hosts and runs. */
function steady(text: string): string {
  return text
    .replace(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/g, 'YYYY-MM-DD hh:mm:ss')
    .replace(/[0-9a-f]{64}/g, 'SHA256')
    .replace(/Linux \S+/g, 'Linux RELEASE')
    .replace(/last run .+ ago/g, 'last run TIME ago')
    .replace(/firewall-drop, \S+ \d{4}/g, 'firewall-drop, OWNER MODE')
    .replace(/active-responses\.log, \S+ /g, 'active-responses.log, OWNER ')
    .replace(/\d+ ms/g, 'N ms');
}

function hide(program: string): void {
  victim.host.bind('/dev/null', `/usr/sbin/${program}`);
}

function withoutIpv6<T>(work: () => T): T {
  for (const end of ['eth0', 'eth1']) victim.host.must(['ip', 'link', 'set', end, 'down']);
  const result = work();
  for (const end of ['eth0', 'eth1']) victim.host.must(['ip', 'link', 'set', end, 'up']);
  victim.host.must(['ip', 'address', 'replace', '2001:db8::5/64', 'dev', 'eth0']);
  return result;
}

describe('the report', () => {
  test('of a host without problems is as in the snapshot', () => {
    const { status, stdout, stderr } = doctor();
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(steady(stdout)).toMatchSnapshot();
  });

  test('of --test on a host without problems is as in the snapshot', () => {
    const { status, stdout } = doctor('--test');
    expect(status).toBe(0);
    expect(steady(stdout).split('\n').slice(-6)).toMatchSnapshot();
  });

  test('calls ip6tables needed on a host with IPv6 bans whose IPv6 was switched off', () => {
    withoutIpv6(() => {
      expect(told('ip6tables')).toMatch(/^ok: .*, not needed$/);
      victim.person(['add', '2001:db8:1::7']);
      expect(told('ip6tables')).toMatch(/^ok: \/usr\/sbin\/ip6tables-restore \(nft\)$/);
    });
  });

  test.each([
    [
      'iptables',
      'iptables',
      () => {
        victim.host.remove('/etc/alternatives/iptables-restore');
      },
    ],
    [
      'ip6tables',
      'iptables',
      () => {
        victim.host.remove('/etc/alternatives/ip6tables-restore');
      },
    ],
    [
      'ipset',
      'ipset',
      () => {
        hide('ipset');
      },
    ],
    [
      'nft',
      'nftables',
      () => {
        hide('nft');
      },
    ],
  ])(
    'of a host without %s, where the backend %s needs it, is as in the snapshot',
    (_program, backend, remove) => {
      victim.configure(`[firewall]\nbackend = "${backend}"\n`);
      remove();
      const { status, stdout } = doctor();
      expect(status).toBe(1);
      expect(steady(stdout)).toMatchSnapshot();
    },
  );

  test('of a host without ipset and nft, where nothing needs them, is as in the snapshot', () => {
    hide('ipset');
    hide('nft');
    const { status, stdout } = doctor();
    expect(status).toBe(0);
    expect(steady(stdout)).toMatchSnapshot();
  });
});

describe('doctor notices', () => {
  const bin = '/var/ossec/active-response/bin/firewall-drop';

  test('a file of the agent in place of the executable, and says how to reinstall it', () => {
    const { host, agent } = victim;
    const own = host.must(['readlink', '-f', bin]).trim();
    host.remove(bin);
    host.writeFile(bin, 'Wazuh’s own', { mode: '0750' });
    const { status, stdout } = host.run([own, 'doctor']);
    host.symlink(own, agent.program());
    expect(status).toBe(1);
    expect(stdout).toMatch(/problem +executable .* is another program \(13 bytes\)/);
    expect(stdout).toContain(`→ ${own} install --home /var/ossec`);
  });

  test('a directory that others can change', () => {
    victim.host.must(['chmod', '0770', '/var/ossec/active-response/bin']);
    const seen = told('executable');
    victim.host.must(['chmod', '0750', '/var/ossec/active-response/bin']);
    expect(seen).toContain('problem: other users can change files in');
  });

  test('a checksum that differs from the package’s', () => {
    const packaged = '/var/lib/packaged';
    victim.host.mkdir(packaged);
    victim.host.bind(builtBinary(), `${packaged}/firewall-drop`);
    const toldByPackaged = (sum: string): string => {
      victim.host.writeFile(`${packaged}/SHA256SUMS`, `${sum}  firewall-drop\n`);
      const { stdout } = victim.host.run([`${packaged}/firewall-drop`, 'doctor', '--json']);
      return told('package', JSON.parse(stdout) as Document);
    };
    const sum = victim.host.must(['sha256sum', bin]).split(' ')[0] ?? '';
    expect(toldByPackaged(sum)).toBe(`ok: the checksum in ${packaged}/SHA256SUMS matches`);
    expect(toldByPackaged('0'.repeat(64))).toContain(
      'problem: the program differs from the package',
    );
    expect(toldByPackaged('')).toContain('SHA256SUMS has no checksum of firewall-drop');
  });

  test('an ACCEPT rule before the rule of a ban', () => {
    victim.person(['add', A]);
    victim.host.must(['iptables', '-w', '-I', 'INPUT', '-p', 'tcp', '-j', 'ACCEPT']);
    expect(told('rules')).toBe(
      'problem: our rules are not first in their chains, or are duplicated',
    );
  });

  test('both variants of iptables in use', () => {
    victim.host.must(['iptables-legacy', '-w', '-A', 'INPUT', '-j', 'ACCEPT']);
    const seen = told('variants');
    victim.host.must(['iptables-legacy', '-w', '-F']);
    expect(seen).toContain(
      'warning: firewall-drop uses iptables-nft, but iptables-legacy has a filter table',
    );
  });

  test('other firewall programs by their chains', () => {
    for (const chain of ['DOCKER-USER', 'ufw-before-input', 'f2b-sshd', 'CROWDSEC_CHAIN']) {
      victim.host.must(['iptables', '-w', '-N', chain]);
    }
    const seen = told('neighbours');
    victim.host.must(['iptables', '-w', '-X']);
    expect(seen.match(/^ok: \S+ found/gm)).toEqual([
      'ok: Docker found',
      'ok: ufw found',
      'ok: fail2ban found',
      'ok: CrowdSec found',
    ]);
  });

  test('saved rules that would restore ended blocks', () => {
    victim.person(['add', A]);
    victim.host.must(['bash', '-c', 'iptables-save > /etc/iptables/rules.v4']);
    expect(told('saved rules')).toBe(
      'warning: /etc/iptables/rules.v4 contains drop rules of our form (1), which return at every boot; restore removes those that it recognises as ours',
    );
  });

  test('mistakes in the agent’s files', () => {
    victim.host.writeFile(
      '/var/ossec/etc/ossec.conf',
      '<ossec_config>\n  <global>“</ossec_config>',
    );
    const broken = told('agent files');
    victim.host.writeFile(
      '/var/ossec/etc/ossec.conf',
      '<ossec_config><active-response>\n<disabled>yes</disabled></active-response></ossec_config>',
    );
    const off = told('agent files');
    victim.host.remove('/var/ossec/etc/ossec.conf');
    expect(broken).toMatch(
      /^problem: .*ossec\.conf, line 2: <\/ossec_config> found while <global> of line 2 is still open/,
    );
    expect(off).toMatch(/^warning: .*ossec\.conf, line 2: active responses are disabled: nothing/);
  });

  test('each mistake in our configuration', () => {
    victim.configure('[limits]\na = 1\nb = 1\n');
    expect(told('configuration')).toMatch(
      /^problem: .*config\.toml:2: .*\nproblem: .*config\.toml:3: .*$/,
    );
  });

  test('a timer that is installed and does not run', () => {
    victim.host.remove(STATE);
    expect(told('timer')).toMatch(/^warning: .*cron\.d.* its last run was: never$/);
  });

  test('enabled systemd units', () => {
    const wants = '/etc/systemd/system';
    victim.host.remove('/etc/cron.d/firewall-drop');
    const without = document();
    expect(told('timer', without)).toMatch(/^warning: nothing calls firewall-drop expire/);
    expect(told('boot', without)).toMatch(/^warning: nothing calls firewall-drop restore/);
    victim.host.mkdir([`${wants}/timers.target.wants`, `${wants}/multi-user.target.wants`]);
    const link = (unit: string, target: string): void => {
      victim.host.symlink(`/lib/systemd/system/${unit}`, `${wants}/${target}.wants/${unit}`);
    };
    link('firewall-drop-expire.timer', 'timers.target');
    link('firewall-drop-restore.service', 'multi-user.target');
    const enabled = document();
    expect(told('timer', enabled)).toMatch(/^ok: firewall-drop-expire\.timer, last run/);
    expect(told('boot', enabled)).toBe('ok: bans are restored by firewall-drop-restore.service');
    for (const unit of ['firewall-drop-expire.timer', 'firewall-drop-restore.service']) {
      victim.host.symlink('/dev/null', `${wants}/${unit}`);
    }
    const masked = document();
    expect(told('timer', masked)).toMatch(/^warning: nothing calls firewall-drop expire/);
    expect(told('boot', masked)).toMatch(/^warning: nothing calls firewall-drop restore/);
    victim.host.must(['bash', '-c', `rm -r ${wants}/*`]);
  });

  test('a cron table that leaves the work to systemd, if systemd runs and has no units', () => {
    const condition = '[ -d /run/systemd/system ] ||';
    victim.host.writeFile(
      '/etc/cron.d/firewall-drop',
      CRON.replaceAll(' root ', ` root ${condition} `),
    );
    expect(told('boot')).toBe('ok: bans are restored by /etc/cron.d/firewall-drop');
    victim.host.mkdir('/run/systemd/system');
    expect(told('boot')).toMatch(/^warning: nothing calls firewall-drop restore/);
    victim.host.remove('/run/systemd');
  });

  test('a damaged state, and leaves it unchanged', () => {
    victim.host.must([
      'bash',
      '-c',
      `rm -f ${STATE}/state.db-*; head -c 8192 /dev/urandom > ${STATE}/state.db`,
    ]);
    const sum = victim.host.must(['sha256sum', `${STATE}/state.db`]);
    expect(told('store')).toMatch(/^problem: .* can't be used/);
    expect(victim.host.must(['sha256sum', `${STATE}/state.db`])).toBe(sum);
  });

  test('a state whose bans can’t be read, and does not call their rules rules without a ban', () => {
    victim.person(['add', A]);
    let root = 0;
    changeState(victim.host.pid, (database) => {
      database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
      const sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'holds'";
      root = Number(database.prepare(sql).get()?.['rootpage']);
    });
    const overwrite = `dd of=${STATE}/state.db bs=4096 seek=${root - 1} count=1 conv=notrunc`;
    victim.host.must(['bash', '-c', `head -c 4096 /dev/urandom | ${overwrite}`]);
    expect(told('store')).toMatch(/^problem: .* is damaged: /);
    expect(told('rules')).toBe("problem: the rules can't be checked: the state can't be read");
  });

  test('a missing chain of the configuration, until it exists', () => {
    victim.configure('[firewall]\nbackend = "iptables"\nchains = ["INPUT", "BANS"]\n');
    expect(told('kernel')).toMatch(/^problem: .* BANS, but IPv4 .*\nproblem: .* BANS, but IPv6 /);
    for (const program of ['iptables', 'ip6tables']) victim.host.must([program, '-N', 'BANS']);
    expect(told('kernel')).toMatch(/^ok: Linux /);
    expect(victim.add(A)).toMatchObject({ status: 0 });
  });

  test('recent failures', () => {
    // "auto" would choose nftables.
    victim.configure('[firewall]\nbackend = "iptables"\n');
    victim.host.useIptables('none');
    victim.add(A);
    victim.host.useIptables('nft');
    const own = document().checks.find(({ check }) => check === 'outcomes');
    expect(own).toMatchObject({ state: 'warning', what: '1 of the last 1 failed' });
    expect(own?.details.join()).toContain(`failed ${A}`);
  });
});

describe('--fix', () => {
  test('creates the log as the agent would, and writes nothing to it', () => {
    victim.host.remove(LOG);
    const before = document();
    expect(told('log', before)).toMatch(/^warning: .* does not exist yet/);
    const after = document('--fix');
    expect(after.fixed).toMatchObject([{ remedy: 'make the log', done: true }]);
    expect(told('log', after)).toMatch(/^ok: /);
    const directory = victim.host.must(['stat', '-c', '%u:%g', '/var/ossec/logs']).trim();
    expect(victim.host.must(['stat', '-c', '%u:%g %a %s', LOG]).trim()).toBe(`${directory} 660 0`);
  });

  test('removes the write permission of others from the log', () => {
    victim.host.must(['chmod', '0666', LOG]);
    expect(told('log')).toMatch(/^problem: .* mode 0666/);
    expect(told('log', document('--fix'))).toMatch(/^ok: /);
  });

  test('does not repair a link in place of the log', () => {
    victim.host.symlink('/etc/passwd', LOG);
    const passwd = victim.host.must(['stat', '-c', '%u:%g %a', '/etc/passwd']);
    const after = document('--fix');
    expect(told('log', after)).toMatch(/^problem: .* is a symbolic link/);
    expect(after.fixed).toEqual([]);
    expect(victim.host.must(['stat', '-c', '%u:%g %a', '/etc/passwd'])).toBe(passwd);
    victim.host.remove(LOG);
  });

  test('restores rules, and makes the state readable by root only', () => {
    victim.person(['add', A]);
    victim.flushRules();
    victim.host.must(['chmod', '0755', STATE]);
    const { status, stdout } = doctor('--fix');
    expect(status).toBe(0);
    expect(stdout).toMatch(/^fixed: .*readable by root only\nfixed: 1 ban restored$/m);
    expect(victim.rules(A)).toHaveLength(2);
    expect(victim.host.must(['stat', '-c', '%a', STATE]).trim()).toBe('700');
  });

  test('does nothing if nothing is wrong', () => {
    expect(document('--fix')).toMatchObject({ schema: 1, healthy: true, fixed: [] });
  });
});

describe('--test', () => {
  test('leaves only its log lines behind, and is not counted in the metrics', () => {
    const { status } = doctor('--test');
    expect(status).toBe(0);
    const metrics = victim.person(['metrics']).stdout;
    expect(metrics).toMatch(/^firewall_drop_adds_total 0$/m);
    expect(metrics).toMatch(/^firewall_drop_deletes_total 0$/m);
    expect(victim.allRules()).toEqual([]);
    expect(victim.bans()).toEqual([]);
    expect(victim.log().map((line) => line.split(/ +/).slice(7, 10).join(' '))).toEqual([
      'add - 192.0.2.254',
      'delete - 192.0.2.254',
      'add - 2001:db8:ffff:ffff::254',
      'delete - 2001:db8:ffff:ffff::254',
    ]);
  });

  test('skips IPv6 on a host without it', () => {
    const tried = withoutIpv6(() => told('test', document('--test')));
    expect(tried.split('\n').map((line) => line.split(':').slice(0, 2).join(':'))).toEqual([
      'ok: block 192.0.2.254',
      'ok: release 192.0.2.254',
    ]);
  });

  test('tests IPv4, and says why it can’t test IPv6, if IPv6 can’t be filtered', () => {
    victim.configure('[firewall]\nbackend = "iptables"\n');
    victim.host.remove('/etc/alternatives/ip6tables-restore');
    victim.host.remove('/etc/alternatives/ip6tables-save');
    const tried = told('test', document('--test'));
    expect(tried).toMatch(/^ok: block 192\.0\.2\.254: [^]*^problem: IPv6 could not be tested: /m);
  });

  test('uses no address that is blocked, protected or in a rule', () => {
    victim.configure('[protect]\nallow = ["192.0.2.254"]\n');
    victim.person(['add', '192.0.2.253']);
    victim.host.must(['iptables', '-w', '-A', 'INPUT', '-s', '192.0.2.252', '-j', 'ACCEPT']);
    expect(told('test', document('--test'))).toMatch(/^ok: block 192\.0\.2\.251: /);
    expect(victim.rules('192.0.2.253')).toHaveLength(2);
    expect(victim.rules('192.0.2.252')).toHaveLength(1);
  });

  test('fails and cleans up if the kernel does not change', () => {
    victim.host.bind('/bin/false', '/usr/sbin/xtables-nft-multi');
    const { status, stdout } = doctor('--test');
    victim.host.must(['umount', '/usr/sbin/xtables-nft-multi']);
    expect(status).toBe(1);
    expect(stdout).toMatch(/problem +test /);
    expect(victim.allRules()).toEqual([]);
    expect(victim.bans()).toEqual([]);
  });

  test('reports a log that can’t be written to', () => {
    victim.host.remove(LOG);
    victim.host.mkdir(LOG);
    const tried = document('--test');
    victim.host.remove(LOG);
    expect(told('test', tried)).toMatch(
      /^problem: block 192\.0\.2\.254: active-responses\.log has no line for it$/m,
    );
    expect(victim.allRules()).toEqual([]);
  });
});
