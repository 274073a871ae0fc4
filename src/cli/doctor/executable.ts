// Checks that the file that execd starts is this program, intact, and writable by root only.
import { basename, dirname } from 'node:path';
import { ownerText } from '../../system/accounts.ts';
import { owningPackageManager, PACKAGE_COMMANDS } from '../packaged.ts';
import { defineCheck, ok, problem, warning, type Finding } from './check.ts';
import {
  checksumOf,
  isWritableByOthers,
  modeText,
  realPathOf,
  statOrNull,
  textOrNull,
} from '../../system/paths.ts';

/** Set by scripts/lib/loader.cjs in a build; undefined if the sources run directly. */
declare const assets: { readonly rejectedCaches: readonly string[] } | undefined;

/** The file with checksums that packages install beside the program. */
const RECORDED_SUMS = 'SHA256SUMS';
const MODE = '0750';

export const executable = defineCheck({
  name: 'executable',
  probe({ context }) {
    const { home, name } = context.place;
    const path = `${home}/active-response/bin/${name}`;
    const stats = statOrNull(path);
    const own = process.execPath;
    const sha256 = stats?.isFile() === true ? checksumOf(path) : '';
    const packageManager = owningPackageManager();
    const ownStats = statOrNull(own);
    const isSameFile = stats !== null && stats.ino === ownStats?.ino && stats.dev === ownStats.dev;
    const directories = [home, `${home}/active-response`, dirname(path), dirname(realPathOf(path))];
    return {
      install:
        packageManager === null
          ? `${own} install --home ${home}`
          : PACKAGE_COMMANDS[packageManager].reinstall,
      path,
      stats,
      sha256,
      isOurs: isSameFile || sha256 === checksumOf(own),
      /** The scripts whose compiled code V8 rejected, so that it compiles them at each start. */
      rejectedCaches: typeof assets === 'undefined' ? [] : assets.rejectedCaches,
      looseDirectories: [...new Set(directories)].filter((directory) => {
        const found = statOrNull(directory);
        return found !== null && (found.uid !== 0 || isWritableByOthers(found));
      }),
    };
  },
  evaluate(facts) {
    const { install, path, stats, sha256, isOurs, looseDirectories } = facts;
    if (stats === null) return [problem(`${path} does not exist`, install)];
    if (!isOurs) {
      const what = `${path} is another program (${stats.size} bytes); an upgrade of the agent installs its own there`;
      return [problem(what, install)];
    }
    const findings: Finding[] = [];
    if (stats.uid !== 0) {
      const what = `${path} belongs to ${ownerText(stats.uid, stats.gid)}, who can change it`;
      findings.push(problem(what, install));
    }
    if (isWritableByOthers(stats)) {
      const what = `${path} has mode ${modeText(stats)}: other users can change what runs as root`;
      findings.push(problem(what, `chmod ${MODE} ${path}`));
    }
    if ((stats.mode & 0o100) === 0) {
      const what = `${path} has mode ${modeText(stats)}: it can't be executed`;
      findings.push(problem(what, `chmod ${MODE} ${path}`));
    }
    if (facts.rejectedCaches.length > 0) {
      const what = `the runtime rejected the compiled code of ${facts.rejectedCaches.join(', ')}: the program works, but each run starts more slowly`;
      const way = 'build it on a machine with this processor, or install another package';
      findings.push(warning(what, way));
    }
    for (const directory of looseDirectories) {
      const what = `other users can change files in ${directory}`;
      findings.push(problem(what, `chown root ${directory}; chmod go-w ${directory}`));
    }
    if (findings.length > 0) return findings;
    return [ok(`${path}, ${ownerText(stats.uid, stats.gid)} ${modeText(stats)}, sha256 ${sha256}`)];
  },
});

export const packageRecord = defineCheck({
  name: 'package',
  probe: () => {
    const record = `${dirname(process.execPath)}/${RECORDED_SUMS}`;
    const text = textOrNull(record);
    if (text === null) return { record: null, recorded: '', actual: '' };
    const actual = checksumOf(process.execPath);
    return { record, recorded: recordedSum(text), actual };
  },
  evaluate({ record, recorded, actual }) {
    const reinstall = 'install the package again, and find out who changed the file';
    if (record === null) return ok('not installed from a package: no checksum to compare');
    if (recorded === '') return problem(`${record} has no checksum of firewall-drop`, reinstall);
    if (recorded === actual) return ok(`the checksum in ${record} matches`);
    return problem(`the program differs from the package: ${record} has ${recorded}`, reinstall);
  },
});

/** Returns the checksum of firewall-drop from lines `SUM  PATH`, as sha256sum writes them; empty if there is none. */
export function recordedSum(text: string): string {
  const lines = text.split('\n').map((line) => /^([0-9a-f]{64}) [ *](.+)$/.exec(line));
  const own = lines.find((line) => basename(line?.[2] ?? '') === 'firewall-drop');
  return own?.[1] ?? '';
}
