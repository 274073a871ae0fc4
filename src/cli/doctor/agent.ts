// Checks the agent: its version, whether it runs, its manager, its files, the log that it reads, and our configuration.
import { closeSync } from 'node:fs';
import { dirname } from 'node:path';
import { CONFIG_FILE, readConfig } from '../../config/read.ts';
import { managerReason } from '../../policy/collect.ts';
import { ownerText } from '../../system/accounts.ts';
import { openLogForAppend } from '../../system/files.ts';
import { printable } from '../../system/printable.ts';
import { at, jsonOrNull } from '../../wazuh/json.ts';
import { longestTimeout } from '../../wazuh/timeouts.ts';
import { count } from '../output/count.ts';
import { formatDuration } from '../output/time.ts';
import { checkFiles, presentFiles } from '../../manager/check-files.ts';
import { defineCheck, ok, problem, warning, type Scene } from './check.ts';
import { lstatOrNull, modeText, statOrNull, textOrNull, troubleOf } from '../../system/paths.ts';

const EXECDS: readonly string[] = ['wazuh-execd', 'ossec-execd'];

export const agent = defineCheck({
  name: 'agent',
  probe: ({ context, processes }) => {
    const { home } = context.place;
    const running = processes.find(({ name }) => EXECDS.includes(name));
    return {
      home,
      exists: statOrNull(`${home}/etc`)?.isDirectory() === true,
      version: agentVersion(home),
      /** Empty if no execd runs. */
      execd: running?.name ?? '',
    };
  },
  evaluate({ home, exists, version, execd }) {
    if (!exists)
      return problem(
        `no agent in ${home}`,
        "install one, or run the firewall-drop in the agent's active-response/bin",
      );
    const which = version === '' ? 'unknown version' : version;
    if (execd !== '') return ok(`${which}, ${execd} is running`);
    const start = `systemctl start wazuh-agent; on a manager: systemctl start wazuh-manager; OSSEC: ${home}/bin/ossec-control start`;
    return problem(`${which}; no execd is running, so nothing starts firewall-drop`, start);
  },
});

/** Returns the version of the agent at `home`, such as `4.14.7`; empty if unknown. */
export function agentVersion(home: string): string {
  const json = textOrNull(`${home}/VERSION.json`);
  const initFiles = [`${home}/etc/ossec-init.conf`, '/etc/ossec-init.conf'];
  return versionOf(json, initFiles.map(textOrNull));
}

/**
 * Reads VERSION.json of Wazuh 4.12 and later, or the line VERSION="v4.1.5" of ossec-init.conf in older versions and
 * OSSEC.
 */
export function versionOf(json: string | null, initFiles: readonly (string | null)[]): string {
  const version = at(jsonOrNull(json ?? ''), 'version');
  if (typeof version === 'string') return version;
  for (const text of initFiles) {
    const found = /^VERSION="v?([^"\n]{1,40})"/m.exec(text ?? '')?.[1];
    if (found !== undefined) return found;
  }
  return '';
}

const AGENTDS: readonly string[] = ['wazuh-agentd', 'ossec-agentd'];

/** Checks that the manager's address is known and therefore protected. */
export const manager = defineCheck({
  name: 'manager',
  probe: ({ context, processes }) => {
    const { home } = context.place;
    const { managers } = context.settings();
    const known = new Set(context.protectedEntries().map(({ why }) => why));
    return {
      file: `${home}/etc/ossec.conf`,
      /** False on a manager, which reports to no other. */
      isAgent:
        processes.some(({ name }) => AGENTDS.includes(name)) ||
        AGENTDS.some((name) => statOrNull(`${home}/bin/${name}`) !== null),
      isProtected: context.config.protect.manager,
      managers,
      /** The managers whose name has no known address. */
      unknown: managers.filter((name) => !known.has(managerReason(name))),
    };
  },
  evaluate(facts) {
    const { file, isAgent, isProtected, managers, unknown } = facts;
    if (!isProtected || (!isAgent && managers.length === 0)) return [];
    const allow = `add its addresses to protect.allow and set protect.manager = false in ${CONFIG_FILE}`;
    if (managers.length === 0) {
      const what = `${file} names no manager: the manager's address can be blocked`;
      return [problem(what, `name it there, or ${allow}`)];
    }
    if (unknown.length === 0) return [ok(`${printable(managers.join(', '))}, protected`)];
    const what = `no known address for ${printable(unknown.join(', '))}: the manager can be blocked`;
    return [problem(what, `correct its name, or ${allow}`)];
  },
});

export const arConf = defineCheck({
  name: 'ar.conf',
  probe: ({ context }) => {
    const { home, name } = context.place;
    const timeouts = context.timeouts();
    const longest = longestTimeout(timeouts, context.settings());
    return { file: `${home}/etc/shared/ar.conf`, name, timeouts, longest };
  },
  evaluate({ file, name, timeouts, longest }) {
    if (timeouts.length === 0) {
      return warning(
        `${file} has no entry for ${name}: no alert starts it`,
        'firewall-drop config snippet prints what to add to the ossec.conf of the manager; then restart the manager (Wazuh 5 does not use this file)',
      );
    }
    const seconds = timeouts.map((timeout) => `${timeout} s`).join(', ');
    if (longest !== null) {
      return ok(
        `${count(timeouts.length, 'response')} with ${name} (${seconds}); the longest ban lasts ${formatDuration(longest)}`,
      );
    }
    return warning(
      `a response with ${name} has timeout 0 (${seconds}): its bans never expire`,
      'give each <active-response> of the manager a <timeout>, unless this is intended',
    );
  },
});

export const agentFiles = defineCheck({
  name: 'agent files',
  probe: ({ context, processes }) => {
    const { home } = context.place;
    const files = presentFiles(home);
    return { files, findings: checkFiles(files, dialectOf(home, processes)) };
  },
  evaluate({ files, findings }) {
    if (files.length === 0) return ok('no ossec.conf and no ar.conf to check');
    const [worst] = findings.toSorted((one, other) => one.severity.localeCompare(other.severity));
    const names = files.join(', ');
    if (worst === undefined) return ok(`no mistakes in ${names}`);
    const { file, line, cause, severity } = worst;
    const more = findings.length > 1 ? `, and ${findings.length - 1} more` : '';
    const what = printable(`${file}, line ${line}: ${cause}${more}`);
    const fix = 'run firewall-drop config check for details';
    return severity === 'error' ? problem(what, fix) : warning(what, fix);
  },
});

/** Returns `ossec` for OSSEC and for Wazuh before 4.2, whose files have a different meaning. */
function dialectOf(home: string, processes: Scene['processes']): 'wazuh' | 'ossec' {
  const isOssec = processes.some(({ name }) => name === 'ossec-execd');
  return isOssec || statOrNull(`${home}/etc/ossec-init.conf`) !== null ? 'ossec' : 'wazuh';
}

export const responseLog = defineCheck({
  name: 'log',
  probe: ({ context }) => {
    const { path } = context.responseLog;
    const stats = lstatOrNull(path);
    return {
      path,
      stats,
      directory: statOrNull(dirname(path)),
      /** Why the log can't be opened for appending; empty if it can. */
      trouble:
        stats?.isFile() === true
          ? troubleOf(() => {
              // Opening is enough to detect a read-only file system or an immutable file.
              closeSync(openLogForAppend(path));
            })
          : '',
    };
  },
  evaluate({ path, stats, directory, trouble }) {
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
  },
});

export const configuration = defineCheck({
  name: 'configuration',
  probe: ({ context: { store } }) => {
    const problems: string[] = [];
    const note = (problem: string): void => void problems.push(problem);
    readConfig({ store, warn: note, remind: note, mayWait: false });
    return { exists: lstatOrNull(CONFIG_FILE) !== null, problems };
  },
  evaluate({ exists, problems }) {
    if (problems.length > 0) {
      return problems.map((what) => problem(what, `correct it in ${CONFIG_FILE}`));
    }
    return [ok(exists ? `${CONFIG_FILE} is valid` : `no ${CONFIG_FILE}: the defaults are used`)];
  },
});
