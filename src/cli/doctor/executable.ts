// Checks that the file that execd starts is this program, intact, and writable by root only.
import type { Stats } from 'node:fs';
import { basename, dirname } from 'node:path';
import { ownerText } from '../../system/accounts.ts';
import { owningPackageManager, PACKAGE_COMMANDS } from '../packaged.ts';
import { ok, problem, warning, type Finding, type Scene } from './check.ts';
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

export function executable({ context }: Scene): Finding[] {
  const { home, name } = context.place;
  const path = `${home}/active-response/bin/${name}`;
  const own = process.execPath;
  const packageManager = owningPackageManager();
  const install =
    packageManager === null
      ? `${own} install --home ${home}`
      : PACKAGE_COMMANDS[packageManager].reinstall;
  const stats = statOrNull(path);
  if (stats === null) return [problem(`${path} does not exist`, install)];
  const sha256 = stats.isFile() ? checksumOf(path) : '';
  const ownStats = statOrNull(own);
  const isSameFile = stats.ino === ownStats?.ino && stats.dev === ownStats.dev;
  if (!isSameFile && sha256 !== checksumOf(own)) {
    const what = `${path} is another program (${stats.size} bytes); an upgrade of the agent installs its own there`;
    return [problem(what, install)];
  }
  const findings = [
    ...findPermissions(path, stats, install),
    ...findRejectedCaches(),
    ...findLooseDirectories(home, path),
  ];
  if (findings.length > 0) return findings;
  return [ok(`${path}, ${ownerText(stats.uid, stats.gid)} ${modeText(stats)}, sha256 ${sha256}`)];
}

export function findPermissions(path: string, stats: Stats, install: string): Finding[] {
  const findings: Finding[] = [];
  const mode = modeText(stats);
  const chmod = `chmod ${MODE} ${path}`;
  if (stats.uid !== 0) {
    const what = `${path} belongs to ${ownerText(stats.uid, stats.gid)}, who can change it`;
    findings.push(problem(what, install));
  }
  if (isWritableByOthers(stats)) {
    const what = `${path} has mode ${mode}: other users can change what runs as root`;
    findings.push(problem(what, chmod));
  }
  if ((stats.mode & 0o100) === 0) {
    findings.push(problem(`${path} has mode ${mode}: it can't be executed`, chmod));
  }
  return findings;
}

/** Finds scripts whose compiled code V8 rejected, so that it compiles them at each start. */
function findRejectedCaches(): Finding[] {
  if (typeof assets === 'undefined' || assets.rejectedCaches.length === 0) return [];
  const what = `the runtime rejected the compiled code of ${assets.rejectedCaches.join(', ')}: the program works, but each run starts more slowly`;
  return [warning(what, 'build it on a machine with this processor, or install another package')];
}

function findLooseDirectories(home: string, path: string): Finding[] {
  const directories = [home, `${home}/active-response`, dirname(path), dirname(realPathOf(path))];
  return [...new Set(directories)].flatMap((directory) => {
    const stats = statOrNull(directory);
    if (stats === null || (stats.uid === 0 && !isWritableByOthers(stats))) return [];
    const what = `other users can change files in ${directory}`;
    return problem(what, `chown root ${directory}; chmod go-w ${directory}`);
  });
}

export function packageRecord(): Finding {
  const record = `${dirname(process.execPath)}/${RECORDED_SUMS}`;
  const text = textOrNull(record);
  if (text === null) return ok('not installed from a package: no checksum to compare');
  const reinstall = 'install the package again, and find out who changed the file';
  const recorded = recordedSum(text);
  if (recorded === '') return problem(`${record} has no checksum of firewall-drop`, reinstall);
  if (recorded === checksumOf(process.execPath)) return ok(`the checksum in ${record} matches`);
  return problem(`the program differs from the package: ${record} has ${recorded}`, reinstall);
}

/** Returns the checksum of firewall-drop from lines `SUM  PATH`, as sha256sum writes them; empty if there is none. */
export function recordedSum(text: string): string {
  const lines = text.split('\n').map((line) => /^([0-9a-f]{64}) [ *](.+)$/.exec(line));
  const own = lines.find((line) => basename(line?.[2] ?? '') === 'firewall-drop');
  return own?.[1] ?? '';
}
