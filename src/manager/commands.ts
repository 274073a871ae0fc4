// The <command> sections of an ossec.conf: what execd may start.
import { readArgumentWords } from '../policy/arguments.ts';
import { diagnose, type Diagnosis, type OtherFile, type Surroundings } from './diagnosis.ts';
import { quote } from '../system/printable.ts';
import { child, sectionsOf, valueOf, type Element } from './xml.ts';

/** A command, and where it is defined: null in the file at hand. */
export interface Command {
  readonly element: Element;
  readonly file: string | null;
}

/** Those of the file at hand come last, since the last of a name counts. */
export function commandsIn(own: readonly Element[], otherFiles: readonly OtherFile[]): Command[] {
  const others = otherFiles.flatMap(({ path, document }) => {
    const elements = sectionsOf(document).filter(({ name }) => name === 'command');
    return elements.map((element) => ({ element, file: path }));
  });
  return [...others, ...own.map((element) => ({ element, file: null }))];
}

export function placeOf({ element, file }: Command): string {
  return file === null ? `in line ${element.line}` : `in line ${element.line} of ${file}`;
}

export function checkCommand(command: Element, around: Surroundings): Diagnosis[] {
  const found: Diagnosis[] = [];
  for (const name of ['name', 'executable']) {
    if (valueOf(command, name) !== '') continue;
    found.push(diagnose('error', command, `this command has no <${name}>`, `add <${name}>`));
  }
  const executable = child(command, 'executable');
  if (executable?.text.includes('/') === true) {
    const cause = '<executable> is a path; execd only starts what lies in active-response/bin';
    found.push(diagnose('error', executable.textAt, cause, 'write the file name alone'));
  }
  return [...found, ...checkExpect(command, around), ...checkArguments(command)];
}

function checkExpect(command: Element, { dialect }: Surroundings): Diagnosis[] {
  const expect = child(command, 'expect');
  if (dialect === 'wazuh' && expect !== undefined) {
    const cause = '<expect> is ignored by Wazuh 4.2 and later';
    const fix = 'remove it; for OSSEC or an older Wazuh check with --wazuh ossec';
    return [diagnose('warning', expect, cause, fix)];
  }
  const ours = isOurs(valueOf(command, 'executable'));
  if (dialect === 'wazuh' || !ours || expect?.text === 'srcip') return [];
  const cause = 'OSSEC hands over the address only where the command expects it';
  return [diagnose('error', expect ?? command, cause, 'write <expect>srcip</expect>')];
}

/** A word that is misspelt is ignored on the agent: the address stays blocked, or is released too early. */
function checkArguments(command: Element): Diagnosis[] {
  const given = child(command, 'extra_args');
  if (given === undefined || !isOurs(valueOf(command, 'executable'))) return [];
  const { unknown } = readArgumentWords(given.text.trim().split(/\s+/));
  return unknown.map((word) => {
    const cause = `${quote(word)} in <extra_args> means nothing to firewall-drop, and is ignored`;
    const fix = 'the words are release, keep, timeout=DURATION and, last, reason=TEXT';
    return diagnose('warning', given.textAt, cause, fix);
  });
}

export function checkNames(commands: readonly Element[]): Diagnosis[] {
  const seen = new Map<string, Element>();
  return commands.flatMap((command) => {
    const name = valueOf(command, 'name');
    const earlier = seen.get(name);
    seen.set(name, command);
    if (earlier === undefined || name === '') return [];
    const cause = `the command ${quote(name)} is defined in line ${earlier.line} already`;
    return [diagnose('warning', command, cause, 'remove one of them, or give it another name')];
  });
}

export function isOurs(executable: string): boolean {
  return /^firewall-drop(?:\.sh)?$/.test(executable);
}
