// The <command> and <active-response> sections of an ossec.conf: what execd may start, which alerts start it, where, and for
// how long.
import { readArgumentWords } from '../policy/arguments.ts';
import { quote } from '../system/printable.ts';
import { MOST_REPEATED_OFFENDERS } from '../wazuh/agent-config.ts';
import { error, warning, type Diagnosis, type OtherFile, type Surroundings } from './diagnosis.ts';
import { checkLevel } from './rules.ts';
import { child, sectionsOf, valueOf, type Element } from './xml.ts';

/** A command, and where it is defined: null in the file at hand. */
interface Command {
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

function placeOf({ element, file }: Command): string {
  return file === null ? `in line ${element.line}` : `in line ${element.line} of ${file}`;
}

export function checkCommand(command: Element, around: Surroundings): Diagnosis[] {
  const found: Diagnosis[] = [];
  for (const name of ['name', 'executable']) {
    if (valueOf(command, name) !== '') continue;
    found.push(...error(command, `this command has no <${name}>`, `add <${name}>`));
  }
  const executable = child(command, 'executable');
  if (executable?.text.includes('/') === true) {
    const cause = '<executable> is a path; execd only starts what lies in active-response/bin';
    found.push(...error(executable.textAt, cause, 'write the file name alone'));
  }
  return [...found, ...checkExpect(command, around), ...checkArguments(command)];
}

function checkExpect(command: Element, { dialect }: Surroundings): Diagnosis[] {
  const expect = child(command, 'expect');
  if (dialect === 'wazuh' && expect !== undefined) {
    const fix = 'remove it; for OSSEC or an older Wazuh check with --wazuh ossec';
    return warning(expect, '<expect> is ignored by Wazuh 4.2 and later', fix);
  }
  const ours = isOurs(valueOf(command, 'executable'));
  if (dialect === 'wazuh' || !ours || expect?.text === 'srcip') return [];
  const cause = 'OSSEC hands over the address only where the command expects it';
  return error(expect ?? command, cause, 'write <expect>srcip</expect>');
}

/** A word that is misspelt is ignored on the agent: the address stays blocked, or is released too early. */
function checkArguments(command: Element): Diagnosis[] {
  const given = child(command, 'extra_args');
  if (given === undefined || !isOurs(valueOf(command, 'executable'))) return [];
  const { unknown } = readArgumentWords(given.text.trim().split(/\s+/));
  return unknown.flatMap((word) => {
    const cause = `${quote(word)} in <extra_args> means nothing to firewall-drop, and is ignored`;
    const fix = 'the words are release, keep, timeout=DURATION and, last, reason=TEXT';
    return warning(given.textAt, cause, fix);
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
    return warning(command, cause, 'remove one of them, or give it another name');
  });
}

function isOurs(executable: string): boolean {
  return /^firewall-drop(?:\.sh)?$/.test(executable);
}

/** What makes a section of that name a response, and not an agent's settings. */
const RESPONSE_FIELDS = ['command', 'location', 'rules_id', 'rules_group', 'level', 'timeout'];
const LOCATIONS = ['local', 'server', 'analysisd', 'defined-agent', 'all'];

export function checkResponse(
  response: Element,
  commands: readonly Command[],
  around: Surroundings,
): Diagnosis[] {
  const found = checkRepeatedOffenders(response);
  const isResponse = response.children.some(({ name }) => RESPONSE_FIELDS.includes(name));
  const disabled = child(response, 'disabled');
  if (disabled?.text === 'yes') {
    const cause = isResponse
      ? 'this response is disabled: it never blocks'
      : 'active responses are disabled here: nothing is ever blocked';
    found.push(...warning(disabled, cause, 'write no, or remove <disabled>'));
  }
  if (!isResponse) return found;
  return [
    ...found,
    ...checkCommandOfResponse(response, commands, around),
    ...checkLocation(response),
    ...checkTrigger(response, around),
  ];
}

function checkCommandOfResponse(
  response: Element,
  commands: readonly Command[],
  around: Surroundings,
): Diagnosis[] {
  const name = child(response, 'command');
  if (name === undefined || name.text === '') {
    const cause = 'this response names no command';
    return error(response, cause, 'add <command>, the <name> of a command');
  }
  const command = commands.findLast(({ element }) => valueOf(element, 'name') === name.text);
  if (command === undefined) {
    const known = commands.map(({ element }) => quote(valueOf(element, 'name'))).join(', ');
    const fix = `define it before, or name one that is defined (${known === '' ? 'none is' : known})`;
    return error(name.textAt, `no command is called ${quote(name.text)}`, fix);
  }
  const executable = valueOf(command.element, 'executable');
  const trouble = around.inspectExecutable(executable);
  const found = checkTimeout(response, command);
  if (trouble !== null) {
    const own = child(command.element, 'executable')?.textAt ?? command.element;
    const at = command.file === null ? own : name.textAt;
    found.push({ ...trouble, line: at.line, column: at.column });
  }
  return found;
}

function checkTimeout(response: Element, command: Command): Diagnosis[] {
  const timeout = child(response, 'timeout');
  const allowed = valueOf(command.element, 'timeout_allowed') === 'yes';
  if (timeout === undefined) {
    if (!isOurs(valueOf(command.element, 'executable'))) return [];
    const cause = 'there is no <timeout>: what this response blocks stays blocked for ever';
    return warning(response, cause, 'add <timeout>, in seconds');
  }
  if (!/^[0-9]{1,9}$/.test(timeout.text)) {
    const cause = `${quote(timeout.text)} is no number of seconds`;
    return error(timeout.textAt, cause, 'write digits alone: <timeout>3600</timeout>');
  }
  if (allowed || Number(timeout.text) === 0) return [];
  const cause = `the command ${quote(valueOf(command.element, 'name'))} does not allow a timeout, so this one is ignored and the block never ends`;
  const fix = `add <timeout_allowed>yes</timeout_allowed> to the command ${placeOf(command)}`;
  return error(timeout, cause, fix);
}

function checkLocation(response: Element): Diagnosis[] {
  const location = child(response, 'location');
  if (location === undefined) {
    const fix = `add one of ${LOCATIONS.join(', ')}`;
    return error(response, 'this response has no <location>', fix);
  }
  if (!location.text.split(',').every((word) => LOCATIONS.includes(word.trim()))) {
    const cause = `${quote(location.text)} is no location`;
    return error(location.textAt, cause, `write one of ${LOCATIONS.join(', ')}`);
  }
  const agent = child(response, 'agent_id');
  const isDefined = location.text.includes('defined-agent');
  if (isDefined && agent === undefined) {
    const cause = 'defined-agent says that <agent_id> names the agent, and there is none';
    return error(location.textAt, cause, 'add <agent_id>001</agent_id>');
  }
  if (agent === undefined) return [];
  if (!isDefined) {
    const cause = '<agent_id> is ignored unless the location is defined-agent';
    return warning(agent, cause, 'remove it, or change the location');
  }
  if (/^[0-9]{1,8}$/.test(agent.text)) return [];
  const cause = `${quote(agent.text)} is no id of an agent`;
  return error(agent.textAt, cause, 'write its number, from agent_control -l');
}

function checkTrigger(response: Element, around: Surroundings): Diagnosis[] {
  const triggers = ['rules_id', 'rules_group', 'level'];
  if (!response.children.some(({ name }) => triggers.includes(name))) {
    const cause = 'nothing says which alerts start this response: every alert does';
    return warning(response, cause, 'add <rules_id>, <rules_group> or <level>');
  }
  const rules = child(response, 'rules_id');
  return [
    ...checkLevel(child(response, 'level')),
    ...(rules === undefined ? [] : checkRuleIds(rules, around)),
  ];
}

function checkRuleIds(ids: Element, { rules, knowsRule }: Surroundings): Diagnosis[] {
  return ids.text.split(/[\s,|]+/).flatMap((id) => {
    const at = { ...ids.textAt, column: ids.textAt.column + ids.text.indexOf(id) };
    const place = ids.text.includes('\n') ? ids.textAt : at;
    if (!/^[0-9]{1,6}$/.test(id)) {
      return error(place, `${quote(id)} is no id of a rule`, 'write ids, with commas between them');
    }
    if (rules.has(id) || !knowsRule(Number(id))) return [];
    const cause = `no rule file here defines rule ${id}: this never happens`;
    return error(place, cause, 'correct the id, or add the rule to local_rules.xml');
  });
}

function checkRepeatedOffenders(response: Element): Diagnosis[] {
  const element = child(response, 'repeated_offenders');
  if (element === undefined) return [];
  const values = element.text.split(',').map((value) => value.trim());
  if (!values.every((value) => /^[1-9][0-9]{0,8}$/.test(value))) {
    const cause = 'repeated_offenders has a value that is no number of minutes';
    return error(element.textAt, cause, 'write minutes, for example 30,60,120');
  }
  if (values.length <= MOST_REPEATED_OFFENDERS) return [];
  const cause = `execd takes ${MOST_REPEATED_OFFENDERS} values and ignores the others`;
  return warning(element.textAt, cause, 'leave out those past the fifth');
}

export function checkSharedExecutables(
  responses: readonly Element[],
  commands: readonly Command[],
): Diagnosis[] {
  const executables = new Map(
    commands.map(({ element }) => [valueOf(element, 'name'), valueOf(element, 'executable')]),
  );
  const active = responses.filter((response) => valueOf(response, 'disabled') !== 'yes');
  const byExecutable = Map.groupBy(active, (response) => {
    return executables.get(valueOf(response, 'command')) ?? '';
  });
  return [...byExecutable].flatMap(([executable, group]) => {
    const timeouts = [...new Set(group.map((response) => valueOf(response, 'timeout') || '0'))];
    const [first, ...others] = group;
    if (executable === '' || timeouts.length < 2 || first === undefined) return [];
    const other = others.find((one) => (valueOf(one, 'timeout') || '0') !== timeouts[0]) ?? first;
    const cause = `responses share ${quote(executable)} with timeouts of ${timeouts.join(', ')} seconds: execd keeps one entry for an address, and a later alert, of whichever response, restarts the timeout of that one`;
    return warning(other, cause, `give them one timeout; see the response in line ${first.line}`);
  });
}
