// Checks `install` and `uninstall`: the program takes the place of an agent's active response, and restores what was
// there.
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { builtBinary } from '../support/binary.ts';
import { answerTo, wazuh4Message } from '../support/alerts.ts';
import { createHost, type TestHost, type RunResult } from '../support/host.ts';
import { eventually } from '../support/wait.ts';

const HOME = '/var/ossec';
const BIN = `${HOME}/active-response/bin`;
const PROGRAM = `${BIN}/firewall-drop`;
const ALIAS = `${BIN}/firewall-drop.sh`;
const CONFIG = '/etc/firewall-drop/config.toml';
const CRON = '/etc/cron.d/firewall-drop';
const ROTATION = '/etc/logrotate.d/firewall-drop';
const UNITS = '/etc/systemd/system';
const A = '203.0.113.7';
const NO_AGENT = 78;
const USAGE = 64;
const FILE_TROUBLE = 74;
const GROUP = 1001;

let host: TestHost;
beforeEach(async () => {
  host = await createHost();
  host.mkdir(['/etc/cron.d', '/etc/logrotate.d']);
  host.remove('/etc/firewall-drop');
  host.must(['bash', '-c', `echo ossec:x:${GROUP}:${GROUP}::/:/bin/false >>/etc/passwd`]);
  host.must(['bash', '-c', `echo ossec:x:${GROUP}: >>/etc/group`]);
  furnish(HOME);
});
afterEach(() => host.dispose());

/** Makes an agent's home as its package does, with the agent's own response. */
function furnish(home: string): void {
  const gid = host.hasSeveralUsers() ? GROUP : 0;
  host.mkdir([home, `${home}/active-response`, `${home}/active-response/bin`], {
    mode: '0750',
    gid,
  });
  host.mkdir([`${home}/logs`, `${home}/etc`, `${home}/etc/shared`], {
    mode: '0770',
    uid: gid,
    gid,
  });
  host.writeFile(`${home}/active-response/bin/firewall-drop`, "the agent's own", { mode: '0750' });
}

const person = (...args: readonly string[]): RunResult => host.run([builtBinary(), ...args]);
const shell = (script: string): string => host.must(['bash', '-c', script]);
/** Lists all files. Omits the times of directories, because temporary files change them. */
const tree = (): string =>
  shell(`find ${HOME} /etc/firewall-drop /etc/cron.d /etc/logrotate.d ${UNITS} \\
    \\( -type d -printf '%p %M %U:%G\\n' \\) -o -printf '%p %M %U:%G %l %i %T@\\n' 2>/dev/null | sort`);

/** Runs `install`. Tests that do not concern the copy use `--link`, because a copy takes 100 MB. */
function install(...args: readonly string[]): RunResult {
  const result = person('install', ...args);
  expect(result).toMatchObject({ status: 0, stderr: '' });
  return result;
}

describe('install', () => {
  test('installs the program for root and the agent’s group, under both its names', () => {
    install();
    const gid = host.hasSeveralUsers() ? GROUP : 0;
    expect(shell(`stat -c '%a %u:%g %F' ${PROGRAM}`)).toBe(`750 0:${gid} regular file\n`);
    expect(shell(`readlink ${ALIAS}; cmp ${builtBinary()} ${PROGRAM}`)).toBe('firewall-drop\n');
    expect(host.readFile(`${PROGRAM}.replaced`)).toBe("the agent's own");
    expect(shell(`stat -c %a ${CONFIG} /var/lib/firewall-drop`)).toBe('644\n700\n');
    expect(shell(`stat -c '%a %u' ${HOME}/logs/active-responses.log`)).toBe(`660 ${gid}\n`);
    expect(host.readFile(CRON)).toContain(`|| ${PROGRAM} expire\n`);
  });

  test('installs a program that execd can start, and that blocks', () => {
    install();
    const message = wazuh4Message({ srcip: A, command: 'add' });
    const answer = message.replace('"add"', '"continue"');
    const result = host.run(['active-response/bin/firewall-drop'], {
      cwd: HOME,
      input: message + answer,
    });
    expect(result.status).toBe(0);
    expect(host.rulesFor(A)).toHaveLength(2);
  });

  test('also takes the place of block-ip if the agent is Wazuh 5', () => {
    host.writeFile(`${HOME}/VERSION.json`, '{"version":"5.0.0","stage":"rc1"}');
    host.writeFile(`${BIN}/block-ip`, "the agent's block-ip", { mode: '0750' });
    const before = tree();
    install();
    expect(shell(`readlink ${BIN}/block-ip`)).toBe('firewall-drop\n');
    expect(person('uninstall').status).toBe(0);
    shell(`rm ${HOME}/logs/*`);
    expect(tree()).toBe(before);
  });

  test('changes nothing when it is repeated', () => {
    install();
    const before = tree();
    expect(install().stdout).toBe('everything is in place already\n');
    expect(tree()).toBe(before);
  });

  test('changes nothing with --dry-run, and lists everything that it would do', () => {
    const before = tree();
    const said = install('--dry-run').stdout.trimEnd().split('\n');
    expect(tree()).toBe(before);
    const done = install().stdout.trimEnd().split('\n');
    const states = (lines: readonly string[]): string[] =>
      lines.map((line) => line.replace(/^[^:]*: /, ''));
    // Recording the installed files has created the state directory.
    expect(states(said).filter((state) => !state.startsWith('/var/lib'))).toEqual(states(done));
  });

  test('corrects owner and mode, and replaces a program that an upgrade of the agent installed', () => {
    install();
    shell(`chmod 4777 ${PROGRAM}`);
    install();
    expect(shell(`stat -c %a ${PROGRAM}`)).toBe('750\n');
    host.writeFile(PROGRAM, 'newer', { mode: '0750' });
    expect(install().stdout).not.toContain('.sh');
    shell(`cmp ${builtBinary()} ${PROGRAM}`);
    expect(host.readFile(`${PROGRAM}.replaced`)).toBe('newer');
  });

  test('does not keep an older version of itself as the original', () => {
    install();
    // Another version has other bytes. Its checksum was recorded when it was installed.
    shell(`echo older >${PROGRAM}
      sum=$(sha256sum ${PROGRAM} | cut -d' ' -f1)
      echo "[\\"$sum\\"]" >/var/lib/firewall-drop/placed.json`);
    install();
    expect(host.readFile(`${PROGRAM}.replaced`)).toBe("the agent's own");
  });

  test.each([
    [
      'another home and other names',
      ['--home', '/var/lib/ossec', '--name', 'block-ip'],
      'block-ip',
    ],
    ['a home with a trailing slash', ['--home', '/var/lib/ossec/'], 'firewall-drop'],
  ])('accepts %s', (_what, args, name) => {
    furnish('/var/lib/ossec');
    install(...args);
    shell(`cmp ${builtBinary()} /var/lib/ossec/active-response/bin/${name}`);
    expect(host.readFile(CRON)).toContain(`|| /var/lib/ossec/active-response/bin/${name} expire`);
    expect(host.readFile(PROGRAM)).toBe("the agent's own");
  });

  test('links to the program with --link instead of copying it', () => {
    install('--link');
    const real = shell(`realpath ${builtBinary()}`);
    expect(shell(`readlink ${PROGRAM} ${ALIAS}`)).toBe(real + real);
    expect(host.readFile(CRON)).toContain(`|| ${real.trim()} expire\n`);
    expect(install('--link').stdout).toBe('everything is in place already\n');
  });

  test('installs a logrotate file that works, and the new log belongs to the owner of the logs', () => {
    const log = `${HOME}/logs/firewall-drop.log`;
    install('--link');
    host.must(['install', '-m', '0660', '/dev/null', log]);
    shell(`chown --reference=${HOME}/logs ${log} && echo '{"level":50}' >${log}`);
    shell(`logrotate --force --state /var/tmp/state ${ROTATION}`);
    expect(shell(`zcat ${log}.1.gz; stat -c '%a %s' ${log}`)).toBe('{"level":50}\n660 0\n');
    shell(`sed -i s/weekly/daily/ ${ROTATION}`);
    install('--link');
    expect(host.readFile(ROTATION)).toContain('daily');
  });

  test('installs no logrotate file if the owner of the logs has no name, because logrotate would fail', () => {
    shell("sed -i '/^root:/!d' /etc/passwd /etc/group");
    shell(`chown 4711:4711 ${HOME}/logs || chown 0:0 ${HOME}/logs; rm -f /etc/passwd`);
    install('--link');
    expect(host.exists(ROTATION)).toBe(false);
  });

  test('leaves an edited configuration and an existing log unchanged', () => {
    host.mkdir('/etc/firewall-drop');
    host.writeFile(CONFIG, '[limits]\n');
    host.writeFile(`${HOME}/logs/active-responses.log`, 'a line\n');
    install('--link');
    expect(host.readFile(CONFIG)).toBe('[limits]\n');
    expect(host.readFile(`${HOME}/logs/active-responses.log`)).toBe('a line\n');
  });

  test('says what is missing if there is no agent, and changes nothing', () => {
    const before = tree();
    const result = person('install', '--home', '/var/nowhere');
    expect(result.status).toBe(NO_AGENT);
    expect(result.stderr).toContain('/var/nowhere/active-response/bin is missing');
    expect(tree()).toBe(before);
  });

  test('names a directory that is in the way of the program', () => {
    expect(person('install').status).toBe(0);
    shell(`rm ${PROGRAM} && mkdir ${PROGRAM}`);
    const result = person('install');
    expect(result.status).toBe(74);
    expect(result.stderr).toContain(`failed at this step: ${PROGRAM}.replaced keeps the previous`);
  });

  test('refuses a directory in which other users can replace a program of root', () => {
    shell(`chmod g+w ${BIN}`);
    const result = person('install');
    expect(result.status).toBe(NO_AGENT);
    expect(result.stderr).toContain(`chmod go-w ${BIN}`);
    expect(host.readFile(PROGRAM)).toBe("the agent's own");
  });

  test.each([
    ['--home', 'var/ossec'],
    ['--home', '/var/ossec/../../etc'],
    ['--home', '/var/os sec'],
    ['--name', '../firewall-drop'],
    ['--name', '-x'],
    ['--name', ''],
  ])('refuses %s "%s"', (option, value) => {
    const result = person('install', `${option}=${value}`);
    expect(result.status).toBe(USAGE);
    expect(result.stderr).toContain(option);
  });

  test('restores the previous files on a full disk and reports it, and the next attempt succeeds', () => {
    shell(`mount -t tmpfs -o size=50M,mode=0750 tmpfs ${BIN}`);
    host.writeFile(PROGRAM, "the agent's own", { mode: '0750' });
    const result = person('install');
    expect(result.status).toBe(FILE_TROUBLE);
    expect(result.stderr).toContain('Correct the cause and run the command again');
    expect(host.readFile(PROGRAM)).toBe("the agent's own");
    expect(shell(`ls ${BIN}`)).toBe('firewall-drop\nfirewall-drop.replaced\n');
    shell(`mount -o remount,size=300M ${BIN}`);
    install();
    expect(host.readFile(`${PROGRAM}.replaced`)).toBe("the agent's own");
  });
});

describe('simultaneous runs', () => {
  const start = (...args: readonly string[]): Promise<unknown[]> =>
    once(host.spawn([builtBinary(), ...args]), 'close');

  test('of two installs succeed one after another, and the agent’s program is kept', async () => {
    const both = [start('install'), start('install')];
    expect(await Promise.all(both)).toEqual([
      [0, null],
      [0, null],
    ]);
    expect(host.readFile(`${PROGRAM}.replaced`)).toBe("the agent's own");
    expect(shell(`cmp ${builtBinary()} ${PROGRAM}; ls ${BIN}`)).not.toContain('.new');
  });

  test('of install and uninstall leave the program installed completely or not at all', async () => {
    install();
    shell(`echo upgraded >${PROGRAM}`);
    const both = [start('install'), start('uninstall')];
    expect(await Promise.all(both)).toEqual([
      [0, null],
      [0, null],
    ]);
    const isInstalled = host.exists(`${PROGRAM}.replaced`);
    expect([ALIAS, CONFIG, CRON].map((path) => host.exists(path))).toEqual(
      [0, 0, 0].map(() => isInstalled),
    );
  });
});

describe('on a host with systemd', () => {
  const CALLS = '/var/tmp/systemctl';
  beforeEach(() => {
    host.mkdir([
      '/run/systemd/system',
      `${UNITS}/timers.target.wants`,
      `${UNITS}/multi-user.target.wants`,
    ]);
    // Does what the real systemctl does on disk, because no systemd runs in the namespace.
    host.writeFile(
      '/var/lib/systemctl',
      `#!/bin/bash
echo "$*" >>${CALLS}
for unit; do :; done
case $unit in *.timer) wants=timers.target ;; *) wants=multi-user.target ;; esac
case $1 in
enable) mkdir -p ${UNITS}/$wants.wants && ln -sf ${UNITS}/$unit ${UNITS}/$wants.wants/$unit ;;
disable) rm ${UNITS}/$wants.wants/$unit ;;
esac
`,
      { mode: '0755' },
    );
    host.bind('/var/lib/systemctl', '/usr/bin/systemctl');
  });

  test('install sets up a timer that runs the installed program, and uninstall removes it', () => {
    furnish('/var/lib/ossec');
    const before = tree();
    install('--home', '/var/lib/ossec');
    const service = host.readFile(`${UNITS}/firewall-drop-expire.service`);
    expect(service).toContain(
      'ExecStart=/usr/bin/env /var/lib/ossec/active-response/bin/firewall-drop expire\n',
    );
    expect(service).toContain('ReadWritePaths=-/var/lib/ossec/logs\n');
    expect(host.readFile(CALLS)).toContain('enable --now firewall-drop-expire.timer\n');
    expect(host.exists(CRON)).toBe(false);
    expect(install('--home', '/var/lib/ossec').stdout).toBe('everything is in place already\n');
    expect(person('uninstall', '--home', '/var/lib/ossec')).toMatchObject({
      status: 0,
      stderr: '',
    });
    expect(tree()).toBe(before);
  });

  test('install enables the timer even if a removed package has left a dangling link', () => {
    host.symlink(
      '/lib/systemd/system/firewall-drop-expire.timer',
      `${UNITS}/timers.target.wants/firewall-drop-expire.timer`,
    );
    install('--link');
    expect(host.readFile(CALLS)).toContain('enable --now firewall-drop-expire.timer\n');
  });

  test('install reports a systemctl that fails with its message', () => {
    host.writeFile('/var/lib/systemctl', '#!/bin/bash\necho no bus >&2; exit 1\n');
    const result = person('install');
    expect(result.status).toBe(FILE_TROUBLE);
    expect(result.stderr).toContain('systemctl daemon-reload failed (status 1): no bus');
  });
});

describe('uninstall', () => {
  test('unblocks every address, and restores the previous files', () => {
    const before = tree();
    install();
    person('add', A, '2001:db8:ffff::7');
    expect(host.rulesFor(A)).toHaveLength(2);
    expect(person('uninstall').stdout).toContain('2 released');
    expect(host.rules(4).join('\n')).not.toContain('DROP');
    expect(host.rules(6).join('\n')).not.toContain('DROP');
    shell(`rm ${HOME}/logs/*`);
    expect(tree()).toBe(before);
    expect(person('uninstall')).toMatchObject({ status: 0, stdout: 'nothing to remove\n' });
  });

  test.each(['ipset', 'nftables'])('leaves no set, rule or table of %s', (backend) => {
    install('--link');
    host.writeFile(CONFIG, `[firewall]\nbackend = "${backend}"\n`);
    person('add', A);
    expect(shell('ipset save; nft list ruleset')).toContain(A);
    expect(person('uninstall').status).toBe(0);
    expect(shell('ipset save; iptables -S; iptables -t raw -S; nft list tables')).not.toMatch(
      /firewall.drop/,
    );
  });

  test('restores the files that further names replaced, even if it is not given these names', () => {
    host.writeFile(`${BIN}/custom`, "the administrator's", { mode: '0750' });
    const before = tree();
    install('--name', 'firewall-drop,custom');
    expect(shell(`readlink ${BIN}/custom`)).toBe('firewall-drop\n');
    expect(person('uninstall').status).toBe(0);
    shell(`rm ${HOME}/logs/*`);
    expect(tree()).toBe(before);
  });

  test('restores a link to the agent’s program that had one of our names', () => {
    host.symlink('firewall-drop', ALIAS);
    const before = tree();
    install();
    expect(person('uninstall').status).toBe(0);
    shell(`rm ${HOME}/logs/*`);
    expect(tree()).toBe(before);
  });

  test('removes the partial files of an install that was killed', () => {
    const kill = ['strace', '-f', '-qq', '-o/dev/null', '-einject=rename:signal=KILL:when=2'];
    host.run([...kill, builtBinary(), 'install']);
    expect(host.exists(`${PROGRAM}.new`)).toBe(true);
    expect(person('uninstall').status).toBe(0);
    expect(shell(`ls ${BIN}`)).toBe('firewall-drop\n');
  });

  test('names a directory that is in the way of the configuration', () => {
    install('--link');
    shell(`rm ${CONFIG} && mkdir ${CONFIG}`);
    const result = person('uninstall');
    expect(result.status).toBe(FILE_TROUBLE);
    expect(result.stderr).toContain(`failed at this step: ${CONFIG} is removed`);
  });

  test('leaves the agent’s newer program, and discards the older one', () => {
    install();
    host.writeFile(PROGRAM, 'newer');
    person('uninstall');
    expect(shell(`ls ${BIN}; cat ${PROGRAM}`)).toBe('firewall-drop\nnewer');
  });

  test('leaves bans, configuration and cron table for another home in which the program is installed', () => {
    const other = '/var/lib/ossec';
    furnish(other);
    const before = tree();
    install('--home', other);
    install();
    person('add', A);
    expect(person('uninstall', '--purge').status).toBe(0);
    expect(shell(`ls ${BIN}; cat ${PROGRAM}`)).toBe("firewall-drop\nthe agent's own");
    expect(host.rulesFor(A)).toHaveLength(2);
    expect(host.readFile(CRON)).toContain(`|| ${other}/active-response/bin/firewall-drop expire`);
    expect(host.readFile(ROTATION)).toContain(`${other}/logs/firewall-drop.log`);
    expect(host.exists(CONFIG)).toBe(true);
    expect(install('--home', other).stdout).toBe('everything is in place already\n');
    expect(person('uninstall', '--home', other).stdout).toContain('1 released');
    shell(`rm ${HOME}/logs/*`);
    expect(tree()).toBe(before);
  });

  test('removes everything even if the home is given as a link to it', () => {
    install('--link');
    person('add', A);
    host.symlink(HOME, '/var/lib/linked');
    const { status, stdout } = person('uninstall', '--home', '/var/lib/linked');
    expect({ status, stdout }).toMatchObject({ status: 0 });
    expect(stdout).toContain('1 released');
    expect([CRON, CONFIG, ALIAS].filter((path) => host.exists(path))).toEqual([]);
    expect(host.readFile(PROGRAM)).toBe("the agent's own");
  });

  test('keeps an edited configuration and the history without --purge', () => {
    install('--link');
    shell(`echo >>${CONFIG}`);
    person('uninstall');
    expect(host.exists(CONFIG) && host.exists('/var/lib/firewall-drop/state.db')).toBe(true);
    person('uninstall', '--purge');
    expect(host.exists(CONFIG) || host.exists('/var/lib/firewall-drop')).toBe(false);
  });

  test('releases an address that an alert blocks while the program is being removed', async () => {
    install('--link');
    host.writeFile(CONFIG, '[limits]\ntotal_seconds = 120\n');
    const alert = host.spawn([PROGRAM], { cwd: HOME });
    const message = wazuh4Message({ srcip: A });
    alert.stdin?.write(message);
    await once(alert.stdout ?? alert, 'data');
    const uninstall = host.spawn([builtBinary(), 'uninstall', '--purge']);
    let said = '';
    uninstall.stdout?.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const ended = once(uninstall, 'close');
    await eventually('the program to be gone', () => !host.exists(`${PROGRAM}.replaced`));
    alert.stdin?.end(answerTo(message, 'continue'));
    await once(alert, 'close');
    expect(alert.exitCode).toBe(0);
    expect(await ended).toEqual([0, null]);
    expect(said).toContain('1 released');
    expect(host.rulesFor(A)).toEqual([]);
    expect(host.exists('/var/lib/firewall-drop')).toBe(false);
  });

  test('changes nothing with --dry-run, and ends no ban', () => {
    install('--link');
    person('add', A);
    const before = tree();
    const { stdout } = person('uninstall', '--dry-run');
    expect(stdout).toMatch(/^would be done: 1 released$/m);
    expect(stdout).toContain('is the previous file again');
    expect(tree()).toBe(before);
    expect(host.rulesFor(A)).toHaveLength(2);
  });

  test('stops if the state can’t be read, because nothing would unblock its bans', () => {
    install('--link');
    person('add', A);
    shell('chmod 0777 /var/lib/firewall-drop');
    const { status, stderr } = person('uninstall');
    expect(status).toBe(FILE_TROUBLE);
    expect(stderr).toContain("there may be more, but the state can't be read");
    expect(host.rulesFor(A)).toHaveLength(2);
    expect(host.exists(PROGRAM) && host.exists(CRON)).toBe(true);
  });

  test('stops if addresses can’t be unblocked, because nothing would unblock them later', () => {
    install('--link');
    person('add', A);
    host.useIptables('none');
    expect(person('uninstall').status).toBe(69);
    expect(shell(`readlink ${PROGRAM}`)).toBe(shell(`realpath ${builtBinary()}`));
    expect(host.exists(CRON)).toBe(true);
    expect(host.readFile(`${HOME}/logs/active-responses.log`)).toContain(`failed - ${A} `);
  });
});
