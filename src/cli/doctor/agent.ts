// Checks the agent: its version, whether it runs, its manager, its files, the log that it reads, and our configuration.
import { closeSync, type Stats } from 'node:fs';
import { dirname } from 'node:path';
import { CONFIG_FILE, readConfig } from '../../config/read.ts';
import { managerReason } from '../../policy/protected.ts';
import { ownerText } from '../../system/accounts.ts';
import { openLogForAppend } from '../../system/files.ts';
import { printable } from '../../system/printable.ts';
import { at, jsonOrNull } from '../../wazuh/json.ts';
import { longestTimeout } from '../../wazuh/policy.ts';
import { count } from '../output/count.ts';
import { formatDuration } from '../output/time.ts';
import { checkFiles, presentFiles } from '../../manager/check-files.ts';
import { ok, problem, warning, type Finding, type Scene } from './check.ts';
import { lstatOrNull, modeText, statOrNull, textOrNull, troubleOf } from '../../system/paths.ts';

const EXECDS: readonly string[] = ['wazuh-execd', 'ossec-execd'];

export function agent({ context, processes }: Scene): Finding {
  const { home } = context.place;
  if (statOrNull(`${home}/etc`)?.isDirectory() !== true)
    return problem(
      `no agent in ${home}`,
      "install one, or run the firewall-drop in the agent's active-response/bin",
    );
  const version = agentVersion(home) || 'unknown version';
  const execd = processes.find(({ name }) => EXECDS.includes(name));
  if (execd !== undefined) return ok(`${version}, ${execd.name} is running`);
  const start = `systemctl start wazuh-agent; on a manager: systemctl start wazuh-manager; OSSEC: ${home}/bin/ossec-control start`;
  return problem(`${version}; no execd is running, so nothing starts firewall-drop`, start);
}

/**
 * Returns the version of the agent at `home`, such as `4.14.7`; empty if unknown. Reads VERSION.json of Wazuh 4.12 and
 * later, or the line VERSION="v4.1.5" of ossec-init.conf in older versions and OSSEC.
 */
export function agentVersion(home: string): string {
  const version = at(jsonOrNull(textOrNull(`${home}/VERSION.json`) ?? ''), 'version');
  if (typeof version === 'string') return version;
  for (const path of [`${home}/etc/ossec-init.conf`, '/etc/ossec-init.conf']) {
    const found = /^VERSION="v?([^"\n]{1,40})"/m.exec(textOrNull(path) ?? '')?.[1];
    if (found !== undefined) return found;
  }
  return '';
}

const AGENTDS: readonly string[] = ['wazuh-agentd', 'ossec-agentd'];

/** Checks that the manager's address is known and therefore protected. */
export function manager({ context, processes }: Scene): Finding[] {
  const { home } = context.place;
  const { managers } = context.settings();
  // A manager itself reports to no other.
  const isAgent =
    processes.some(({ name }) => AGENTDS.includes(name)) ||
    AGENTDS.some((name) => statOrNull(`${home}/bin/${name}`) !== null);
  if (!context.config.protect.manager || (!isAgent && managers.length === 0)) return [];
  const allow = `add its addresses to protect.allow and set protect.manager = false in ${CONFIG_FILE}`;
  if (managers.length === 0) {
    const what = `${home}/etc/ossec.conf names no manager: the manager's address can be blocked`;
    return [problem(what, `name it there, or ${allow}`)];
  }
  const known = new Set(context.protectedEntries().map(({ why }) => why));
  const unknown = managers.filter((name) => !known.has(managerReason(name)));
  if (unknown.length === 0) return [ok(`${printable(managers.join(', '))}, protected`)];
  const what = `no known address for ${printable(unknown.join(', '))}: the manager can be blocked`;
  return [problem(what, `correct its name, or ${allow}`)];
}

export function arConf({ context }: Scene): Finding {
  const { home, name } = context.place;
  const timeouts = context.timeouts();
  if (timeouts.length === 0) {
    return warning(
      `${home}/etc/shared/ar.conf has no entry for ${name}: no alert starts it`,
      'firewall-drop config snippet prints what to add to the ossec.conf of the manager; then restart the manager (Wazuh 5 does not use this file)',
    );
  }
  const seconds = timeouts.map((timeout) => `${timeout} s`).join(', ');
  const longest = longestTimeout(timeouts, context.settings());
  if (longest !== null) {
    return ok(
      `${count(timeouts.length, 'response')} with ${name} (${seconds}); the longest ban lasts ${formatDuration(longest)}`,
    );
  }
  return warning(
    `a response with ${name} has timeout 0 (${seconds}): its bans never expire`,
    'give each <active-response> of the manager a <timeout>, unless this is intended',
  );
}

export function agentFiles({ context, processes }: Scene): Finding {
  const { home } = context.place;
  const files = presentFiles(home);
  if (files.length === 0) return ok('no ossec.conf and no ar.conf to check');
  const findings = checkFiles(files, dialectOf(home, processes));
  const [worst] = findings.toSorted((one, other) => one.severity.localeCompare(other.severity));
  const names = files.join(', ');
  if (worst === undefined) return ok(`no mistakes in ${names}`);
  const { file, line, cause, severity } = worst;
  const more = findings.length > 1 ? `, and ${findings.length - 1} more` : '';
  const what = printable(`${file}, line ${line}: ${cause}${more}`);
  const fix = 'run firewall-drop config check for details';
  return severity === 'error' ? problem(what, fix) : warning(what, fix);
}

/** Returns `ossec` for OSSEC and for Wazuh before 4.2, whose files have a different meaning. */
function dialectOf(home: string, processes: Scene['processes']): 'wazuh' | 'ossec' {
  const isOssec = processes.some(({ name }) => name === 'ossec-execd');
  return isOssec || statOrNull(`${home}/etc/ossec-init.conf`) !== null ? 'ossec' : 'wazuh';
}

export function responseLog({ context }: Scene): Finding {
  const { path } = context.responseLog;
  return evaluateLog(path, lstatOrNull(path), statOrNull(dirname(path)));
}

/** `directory` is null if the directory of the log does not exist. */
export function evaluateLog(path: string, stats: Stats | null, directory: Stats | null): Finding {
  if (directory === null) {
    return problem(
      `${dirname(path)} does not exist: blocks raise no alerts`,
      'install the agent again, which creates the directory',
    );
  }
  if (stats === null) {
    return warning(
      `${path} does not exist yet; the agent reads it as soon as it does`,
      'firewall-drop doctor --fix creates it',
      'make the log',
    );
  }
  if (!stats.isFile() || stats.nlink !== 1) {
    const what = stats.isSymbolicLink() ? 'a symbolic link' : 'not a regular file with one link';
    return problem(
      `${path} is ${what}: firewall-drop does not write to it`,
      `find out who created it, and rm ${path}`,
    );
  }
  // Opening is enough to detect a read-only file system or an immutable file.
  const trouble = troubleOf(() => closeSync(openLogForAppend(path)));
  if (trouble !== '') return problem(`${path} can't be written: ${trouble}`, 'fix the cause');
  const mode = modeText(stats);
  const owner = ownerText(stats.uid, stats.gid);
  if ((stats.mode & 0o002) !== 0) {
    const what = `${path} has mode ${mode}: any user can write lines that raise alerts`;
    return problem(what, 'firewall-drop doctor --fix sets mode 0660', 'mend the log');
  }
  if (stats.gid !== directory.gid || (stats.mode & 0o040) === 0) {
    const what = `${path} is ${owner} ${mode}: the agent's group can't read it`;
    const fix = 'firewall-drop doctor --fix sets the owner of its directory and mode 0660';
    return warning(what, fix, 'mend the log');
  }
  return ok(`${path}, ${owner} ${mode}, writable`);
}

export function configuration({ context: { store } }: Scene): Finding[] {
  const problems: string[] = [];
  const note = (problem: string): void => void problems.push(problem);
  readConfig({ store, warn: note, remind: note, mayWait: false });
  if (problems.length > 0) {
    return problems.map((what) => problem(what, `correct it in ${CONFIG_FILE}`));
  }
  const exists = lstatOrNull(CONFIG_FILE) !== null;
  return [ok(exists ? `${CONFIG_FILE} is valid` : `no ${CONFIG_FILE}: the defaults are used`)];
}
