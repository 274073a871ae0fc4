// The agent around us: which one, whether it runs, whom it reports to, what its files say about this program, and the log that
// it reads.
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
      isThere: statOrNull(`${home}/etc`)?.isDirectory() === true,
      version: agentVersion(home),
      /** Empty: none runs. */
      execd: running?.name ?? '',
    };
  },
  evaluate({ home, isThere, version, execd }) {
    if (!isThere)
      return problem(`no agent in ${home}`, 'install one, or run firewall-drop from its directory');
    const which = version === '' ? 'of unknown version' : version;
    if (execd !== '') return ok(`${which}, ${execd} runs`);
    const start = 'systemctl start wazuh-agent (or wazuh-manager; before 4.3: ossec-control start)';
    return problem(`${which}, and no execd runs: nothing would start firewall-drop`, start);
  },
});

/** Of the agent at `home`, such as `4.14.7`; empty where nothing says it. */
export function agentVersion(home: string): string {
  const json = textOrNull(`${home}/VERSION.json`);
  const initFiles = [`${home}/etc/ossec-init.conf`, '/etc/ossec-init.conf'];
  return versionOf(json, initFiles.map(textOrNull));
}

/** Wazuh 4.12 and later have VERSION.json; before, and in OSSEC, ossec-init.conf has a line VERSION="v4.1.5". */
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

/** Whether we know the address of the manager, and so never block it. */
export const manager = defineCheck({
  name: 'manager',
  probe: ({ context, processes }) => {
    const { home } = context.place;
    const { managers } = context.settings();
    const known = new Set(context.protectedEntries().map(({ why }) => why));
    return {
      file: `${home}/etc/ossec.conf`,
      /** A manager has none itself. */
      isAgent:
        processes.some(({ name }) => AGENTDS.includes(name)) ||
        AGENTDS.some((name) => statOrNull(`${home}/bin/${name}`) !== null),
      isProtected: context.config.protect.manager,
      managers,
      /** Those whose name has no known address. */
      unknown: managers.filter((name) => !known.has(managerReason(name))),
    };
  },
  evaluate(facts) {
    const { file, isAgent, isProtected, managers, unknown } = facts;
    if (!isProtected || (!isAgent && managers.length === 0)) return [];
    const allow = `name its addresses in protect.allow of ${CONFIG_FILE}`;
    if (managers.length === 0) {
      const what = `${file} names no manager that is known here: its address can be blocked`;
      return [problem(what, allow)];
    }
    if (unknown.length === 0) return [ok(`${printable(managers.join(', '))}: never blocked`)];
    const what = `no address is known of ${printable(unknown.join(', '))}: it can be blocked`;
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
        `${file} has no response with ${name}: the manager requests no blocks from it`,
        'put the <command> and <active-response> of docs/runbook.md into the ossec.conf of the manager, and restart it (Wazuh 5 does not use this file)',
      );
    }
    const seconds = timeouts.map((timeout) => `${timeout} s`).join(', ');
    if (longest !== null) {
      return ok(
        `${count(timeouts.length, 'response')} with ${name} (${seconds}), no ban longer than ${formatDuration(longest)}`,
      );
    }
    return warning(
      `a response with ${name} has timeout 0 (${seconds}): its bans never end by themselves`,
      'give each <active-response> of the manager a <timeout>, unless you mean it',
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
    if (worst === undefined) return ok(`nothing wrong in ${names}`);
    const { file, line, cause, severity } = worst;
    const more = findings.length > 1 ? `, and ${findings.length - 1} more` : '';
    const what = printable(`${file}, line ${line}: ${cause}${more}`);
    const fix = 'firewall-drop config check has the places and what to do';
    return severity === 'error' ? problem(what, fix) : warning(what, fix);
  },
});

/** Before Wazuh 4.2 and in OSSEC, other things are meant by the same words. */
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
      /** Why it can't be opened for appending; empty when it can. */
      trouble:
        stats?.isFile() === true
          ? troubleOf(() => {
              // Nothing is written: that it opens shows a read-only disk and an immutable file.
              closeSync(openLogForAppend(path));
            })
          : '',
    };
  },
  evaluate({ path, stats, directory, trouble }) {
    if (directory === null) {
      return problem(
        `${dirname(path)} does not exist: a block would raise no alert`,
        'install the agent again, which makes the directory',
      );
    }
    if (stats === null) {
      return warning(
        `${path} is not there yet; the agent reads it from when it is`,
        'firewall-drop doctor --fix makes it',
        'make the log',
      );
    }
    if (!stats.isFile() || stats.nlink !== 1) {
      const what = stats.isSymbolicLink() ? 'a symbolic link' : 'not a regular file with one name';
      return problem(
        `${path} is ${what}: firewall-drop does not write to it`,
        `find out who made it, and rm ${path}`,
      );
    }
    if (trouble !== '') return problem(`${path} can't be written to: ${trouble}`, 'correct that');
    const mode = modeText(stats);
    const owner = ownerText(stats.uid, stats.gid);
    if ((stats.mode & 0o002) !== 0) {
      const what = `${path} has mode ${mode}: anybody can write lines that raise alerts`;
      return problem(what, 'firewall-drop doctor --fix gives it mode 0660', 'mend the log');
    }
    if (stats.gid !== directory.gid || (stats.mode & 0o040) === 0) {
      const what = `${path} is ${owner} ${mode}: the agent's group can't read it`;
      const fix = 'firewall-drop doctor --fix gives it the owner of its directory and mode 0660';
      return warning(what, fix, 'mend the log');
    }
    return ok(`${path}, ${owner} ${mode}, can be written to`);
  },
});

export const configuration = defineCheck({
  name: 'configuration',
  probe: ({ context: { store } }) => {
    const problems: string[] = [];
    const note = (problem: string): void => void problems.push(problem);
    readConfig({ store, warn: note, remind: note, mayWait: false });
    return { isThere: lstatOrNull(CONFIG_FILE) !== null, problems };
  },
  evaluate({ isThere, problems }) {
    if (problems.length > 0) {
      return problems.map((what) => problem(what, `correct it in ${CONFIG_FILE}`));
    }
    return [ok(isThere ? `${CONFIG_FILE} is understood` : `no ${CONFIG_FILE}: the defaults hold`)];
  },
});
