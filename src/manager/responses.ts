// Checks the <command> and <active-response> sections of an ossec.conf.
import { readArgumentWords } from '../policy/decide.ts';
import { quote } from '../system/printable.ts';
import { MOST_REPEATED_OFFENDERS } from '../wazuh/agent-config.ts';
import { error, warning, type Diagnosis, type OtherFile, type Surroundings } from './diagnosis.ts';
import { checkLevel } from './rules.ts';
import { child, sectionsOf, valueOf, type Element } from './xml.ts';

/** A command and the file that defines it. `file` is null for the file that is being checked. */
interface Command {
  readonly element: Element;
  readonly file: string | null;
}

/** Returns all commands. Those of the checked file come last, because the last definition of a name applies. */
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
    const cause = '<executable> is a path, but execd only starts files in active-response/bin';
    found.push(...error(executable.textAt, cause, 'write only the file name'));
  }
  return [...found, ...checkExpect(command, around), ...checkArguments(command)];
}

function checkExpect(command: Element, { dialect }: Surroundings): Diagnosis[] {
  const expect = child(command, 'expect');
  if (dialect === 'wazuh' && expect !== undefined) {
    const fix = 'remove it; for OSSEC or an older Wazuh, check with --wazuh ossec';
    return warning(expect, 'Wazuh 4.2 and later ignore <expect>', fix);
  }
  const ours = isOurs(valueOf(command, 'executable'));
  if (dialect === 'wazuh' || !ours || expect?.text === 'srcip') return [];
  const cause = 'OSSEC passes the address only if the command expects it';
  return error(expect ?? command, cause, 'write <expect>srcip</expect>');
}

/**
 * Checks the words for firewall-drop. The agent ignores a misspelt word, so that a ban would last too long or too
 * short.
 */
function checkArguments(command: Element): Diagnosis[] {
  const given = child(command, 'extra_args');
  if (given === undefined || !isOurs(valueOf(command, 'executable'))) return [];
  const { unknown } = readArgumentWords(given.text.trim().split(/\s+/));
  return unknown.flatMap((word) => {
    const cause = `firewall-drop does not know ${quote(word)} in <extra_args>, and ignores it`;
    const fix = 'use release, keep, timeout=DURATION and, last, reason=TEXT';
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
    const cause = `the command ${quote(name)} is already defined in line ${earlier.line}`;
    return warning(command, cause, 'remove or rename one of them');
  });
}

function isOurs(executable: string): boolean {
  return /^firewall-drop(?:\.sh)?$/.test(executable);
}

/** The elements by which a section is a response, and not only the settings of an agent. */
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
      ? 'this response is disabled and never blocks'
      : 'active responses are disabled: nothing is ever blocked';
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
    const cause = 'this response has no <command>';
    return error(response, cause, 'add <command> with the <name> of a command');
  }
  const command = commands.findLast(({ element }) => valueOf(element, 'name') === name.text);
  if (command === undefined) {
    const known = commands.map(({ element }) => quote(valueOf(element, 'name'))).join(', ');
    const fix = `define it first, or use a defined command (${known === '' ? 'there is none' : known})`;
    return error(name.textAt, `the command ${quote(name.text)} is not defined`, fix);
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
    const cause = 'this response has no <timeout>: its bans never end';
    return warning(response, cause, 'add <timeout>, in seconds');
  }
  if (!/^[0-9]{1,9}$/.test(timeout.text)) {
    const cause = `${quote(timeout.text)} is not a number of seconds`;
    return error(timeout.textAt, cause, 'write only digits: <timeout>3600</timeout>');
  }
  if (allowed || Number(timeout.text) === 0) return [];
  const cause = `the command ${quote(valueOf(command.element, 'name'))} does not allow a timeout: the timeout is ignored, and the ban never ends`;
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
    const cause = `${quote(location.text)} is not a location`;
    return error(location.textAt, cause, `write one of ${LOCATIONS.join(', ')}`);
  }
  const agent = child(response, 'agent_id');
  const isDefined = location.text.includes('defined-agent');
  if (isDefined && agent === undefined) {
    const cause = 'the location defined-agent requires an <agent_id>, which is missing';
    return error(location.textAt, cause, 'add <agent_id>001</agent_id>');
  }
  if (agent === undefined) return [];
  if (!isDefined) {
    const cause = '<agent_id> is ignored unless the location is defined-agent';
    return warning(agent, cause, 'remove it, or change the location');
  }
  if (/^[0-9]{1,8}$/.test(agent.text)) return [];
  const cause = `${quote(agent.text)} is not an agent id`;
  return error(agent.textAt, cause, 'write the id that agent_control -l shows');
}

function checkTrigger(response: Element, around: Surroundings): Diagnosis[] {
  const triggers = ['rules_id', 'rules_group', 'level'];
  if (!response.children.some(({ name }) => triggers.includes(name))) {
    const cause = 'this response has no condition: every alert starts it';
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
      return error(place, `${quote(id)} is not a rule id`, 'write rule ids, separated by commas');
    }
    if (rules.has(id) || !knowsRule(Number(id))) return [];
    const cause = `no rule file defines rule ${id}: it never starts this response`;
    return error(place, cause, 'correct the id, or add the rule to local_rules.xml');
  });
}

function checkRepeatedOffenders(response: Element): Diagnosis[] {
  const element = child(response, 'repeated_offenders');
  if (element === undefined) return [];
  const values = element.text.split(',').map((value) => value.trim());
  if (!values.every((value) => /^[1-9][0-9]{0,8}$/.test(value))) {
    const cause = 'repeated_offenders has a value that is not a number of minutes';
    return error(element.textAt, cause, 'write minutes, for example 30,60,120');
  }
  if (values.length <= MOST_REPEATED_OFFENDERS) return [];
  const cause = `execd reads only the first ${MOST_REPEATED_OFFENDERS} values`;
  return warning(element.textAt, cause, 'remove the values after the fifth');
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
    const cause = `responses with ${quote(executable)} have timeouts of ${timeouts.join(', ')} seconds: execd keeps one entry per address, and a later alert of any response only restarts the timeout of that entry`;
    const fix = `give them the same timeout; see the response in line ${first.line}`;
    return warning(other, cause, fix);
  });
}
