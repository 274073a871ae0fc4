// `config check`: finds the files, reads the rules and executables that they refer to, and attaches each diagnosis to
// its line.
import { readdirSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { AppError, describeError, orThrow } from '../model/errors.ts';
import { parseGroupPolicy } from '../config/group-policy.ts';
import { lineOfError } from '../config/toml.ts';
import { readRegularFile } from '../system/files.ts';
import { isWritableByOthers, lstatOrNull, modeText, statOrNull } from '../system/paths.ts';
import { printable } from '../system/printable.ts';
import { checkArConf } from './ar-conf.ts';
import { error, type Diagnosis, type ExecutableTrouble, type Surroundings } from './diagnosis.ts';
import { checkOssecConf } from './ossec-conf.ts';
import { checkRules, FIRST_LOCAL_RULE, knownRulesOf, rulesOf, SHIPPED_RULES } from './rules.ts';
import { placesIn, readXml, type XmlDocument } from './xml.ts';

export interface Finding extends Diagnosis {
  readonly file: string;
  readonly source: string;
}

type CheckedFile = ReturnType<typeof readChecked>;

const START = { line: 1, column: 1 };
const LARGEST_FILE = 4 * 1024 * 1024;
const USUAL_PLACES = [
  'etc/ossec.conf',
  'etc/shared/ar.conf',
  'etc/shared/agent.conf',
  'etc/shared/firewall-drop.toml',
  'etc/rules/local_rules.xml',
  'rules/local_rules.xml',
];

/** Returns the existing configuration files of a home. Throws `BAD_DATA` if there are none. */
export function usualFiles(home: string): string[] {
  const found = presentFiles(home);
  if (found.length > 0) return found;
  throw new AppError('BAD_DATA', `${home} has none of ${USUAL_PLACES.join(', ')}; name a file`);
}

/** Returns the existing configuration files of a home, which can be none. */
export function presentFiles(home: string): string[] {
  return USUAL_PLACES.map((place) => join(home, place)).filter(exists);
}

function exists(path: string): boolean {
  return orThrow('BAD_DATA', `${path} can't be read`, () => lstatOrNull(path) !== null);
}

/** Checks all files together, because rules in one affect another. Throws `BAD_DATA` if a file can't be read. */
export function checkFiles(
  paths: readonly string[],
  dialect: Surroundings['dialect'],
): readonly Finding[] {
  const files = paths.map(readChecked);
  return files.flatMap((file) => {
    const lines = file.text.split('\n');
    return [...file.damage, ...examine(file, files, dialect)].map((diagnosis) => ({
      ...diagnosis,
      file: file.path,
      source: (lines[diagnosis.line - 1] ?? '').replace(/\r$/, ''),
    }));
  });
}

/** Reads a file. The document is null if the file is not XML by its name. */
function readChecked(path: string) {
  const bytes = orThrow('BAD_DATA', `${path} can't be read`, () => {
    return readRegularFile(path, LARGEST_FILE);
  });
  const text = bytes.toString('utf8');
  const isXml = basename(path) !== 'ar.conf' && !isGroupPolicy(path);
  return { path, text, document: isXml ? readXml(text) : null, damage: findDamage(bytes, text) };
}

/** Finds encoding errors, which XML parsers accept or report in misleading words. */
function findDamage(bytes: Buffer, text: string): Diagnosis[] {
  if (text.startsWith('\ufeff')) {
    const cause = 'the file begins with a byte order mark, which editors on Windows add';
    const fix = "save it as UTF-8 without BOM, or: sed -i '1s/^\\xef\\xbb\\xbf//' FILE";
    return error(START, cause, fix);
  }
  const at = text.indexOf('\ufffd');
  if (at < 0 || bytes.equals(Buffer.from(text))) return [];
  const cause = 'this byte is not valid UTF-8: the file was saved in another encoding';
  return error(placesIn(text)(at), cause, 'save it as UTF-8, or type the character again');
}

function examine(
  file: CheckedFile,
  files: readonly CheckedFile[],
  dialect: Surroundings['dialect'],
): Diagnosis[] {
  const home = homeOf(file.path);
  const inspect = (name: string): ExecutableTrouble | null => {
    return home === null ? null : inspectExecutable(home, name);
  };
  if (isGroupPolicy(file.path)) return checkGroupPolicy(file);
  if (file.document === null) return checkArConf(file.text, inspect);
  const { mistakes, roots } = file.document;
  if (mistakes.length > 0) return listMistakes(mistakes);
  const known = ['ossec_config', 'agent_config', 'group', 'rule', 'var'];
  // The agent.conf of a group without settings can be empty.
  const mayBeEmpty = basename(file.path) === 'agent.conf' && roots.length === 0;
  if (!mayBeEmpty && !roots.some(({ name }) => known.includes(name))) {
    const cause = 'the file has neither <ossec_config> nor a <group> of rules';
    return error(START, cause, 'name an ossec.conf, a rule file, or an ar.conf');
  }
  const isLocal = !/[/]ruleset[/]/.test(resolve(file.path));
  return [
    ...checkOssecConf(file.document, {
      dialect,
      ...knowRules(home, files),
      inspectExecutable: inspect,
      otherFiles: files.flatMap(({ path, document }) => {
        return document === null || path === file.path ? [] : [{ path, document }];
      }),
    }),
    ...(isLocal ? checkRules(file.document) : []),
  ];
}

function isGroupPolicy(path: string): boolean {
  return basename(path) === 'firewall-drop.toml';
}

/** Checks the policy that a manager sends to a group. The agent reports the same mistakes. */
function checkGroupPolicy({ path, text }: CheckedFile): Diagnosis[] {
  const fix = 'correct or remove it; docs/policy.md describes this file';
  try {
    return parseGroupPolicy(text, path).problems.flatMap(({ line, message }) => {
      return error({ line, column: 1 }, message, fix);
    });
  } catch (trouble) {
    const place = { line: lineOfError(trouble), column: 1 };
    return error(place, describeError(trouble).split('\n', 1)[0] ?? '', fix);
  }
}

/** The largest number of XML mistakes that are listed. Correcting them usually removes others. */
const MOST_MISTAKES = 50;

function listMistakes(mistakes: readonly Diagnosis[]): Diagnosis[] {
  const next = mistakes[MOST_MISTAKES];
  const listed = mistakes.slice(0, MOST_MISTAKES);
  if (next === undefined) return listed;
  const cause = 'further mistakes follow, which are not listed';
  return [...listed, ...error(next, cause, 'correct the mistakes above, and check again')];
}

/** Returns the home that a file belongs to according to its path; null if that home has no active-response/bin. */
function homeOf(path: string): string | null {
  const etc = /^(.*)\/etc\/(?:shared\/)?[^/]+$/.exec(resolve(path));
  const home = etc?.[1] ?? null;
  return home !== null && exists(join(home, 'active-response/bin')) ? home : null;
}

const EXECUTABLE_BY_OWNER = 0o100;

function inspectExecutable(home: string, name: string): ExecutableTrouble | null {
  // Executables of Windows agents can't be checked here.
  if (name === '' || name.includes('/') || /\.(?:exe|cmd|bat|ps1)$/i.test(name)) return null;
  const path = join(home, 'active-response/bin', name);
  const stats = statOrNull(path);
  if (stats === null) {
    const cause = `${path} does not exist on this host`;
    return { severity: 'warning', cause, fix: 'install it on every agent that runs it' };
  }
  const good = stats.isFile() && stats.uid === 0 && (stats.mode & EXECUTABLE_BY_OWNER) !== 0;
  if (good && !isWritableByOthers(stats)) return null;
  const cause = `${path} must be a regular file, owned by root, executable, and writable by root only; it has owner ${stats.uid} and mode ${modeText(stats)}`;
  return { severity: 'error', cause, fix: `chown root:wazuh ${path} && chmod 750 ${path}` };
}

/**
 * Collects the known rules. An unknown id is a mistake only if the files of its kind, shipped or local, are present.
 */
function knowRules(
  home: string | null,
  files: readonly CheckedFile[],
): Pick<Surroundings, 'rules' | 'knowsRule'> {
  const shipped = home === null ? [] : rulesIn(join(home, 'ruleset/rules'));
  const local = home === null ? [] : rulesIn(join(home, 'etc/rules'));
  const given = files.flatMap(({ document }) => (document === null ? [] : [document]));
  const all = [...shipped, ...local, ...given];
  const rules = new Map([
    ...SHIPPED_RULES,
    ...all.flatMap((document) => [...knownRulesOf(document)]),
  ]);
  const hasShipped = shipped.some((document) => rulesOf(document).length > 0);
  const hasLocal = [...local, ...given].some((document) => rulesOf(document).length > 0);
  return { rules, knowsRule: (id) => (id < FIRST_LOCAL_RULE ? hasShipped : hasLocal) };
}

function rulesIn(directory: string): XmlDocument[] {
  if (!exists(directory)) return [];
  return readdirSync(directory)
    .filter((name) => name.endsWith('.xml'))
    .sort()
    .map((name) => readXml(readRegularFile(join(directory, name), LARGEST_FILE).toString('utf8')));
}

const LONGEST_SOURCE = 100;
const BEFORE_CARET = 60;

/** Formats the position, the cause, the line with a caret, and the fix. Escapes control characters of the file. */
export function formatFinding(finding: Finding): string[] {
  const { file, line, column, severity, cause, fix, source } = finding;
  const start = column > LONGEST_SOURCE - 10 ? column - 1 - BEFORE_CARET : 0;
  const window = source.slice(start, start + LONGEST_SOURCE).replaceAll('\t', ' ');
  const gutter = `${line} | `;
  const before = printable(window.slice(0, column - 1 - start)).length;
  return [
    `${printable(file)}:${line}:${column}: ${severity}: ${printable(cause)}`,
    `  ${gutter}${printable(window)}`,
    `  ${' '.repeat(gutter.length + before)}^`,
    `  fix: ${printable(fix)}`,
  ];
}
