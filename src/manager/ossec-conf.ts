// An ossec.conf: what it says about active responses, white list and mail, and what of it can not work.
import { parseNetwork } from '../model/address.ts';
import { diagnose, type Diagnosis } from './diagnosis.ts';
import { checkMail } from './mail.ts';
import { HIGHEST_LEVEL, isLevel, type KnownRules } from './rules.ts';
import { child, quote, sectionsOf, valueOf } from './sections.ts';
import { nameStrangeCharacter } from './typing.ts';
import type { Element, XmlDocument } from './xml.ts';

/** What stands outside the file and decides what it means. */
export interface Surroundings {
  readonly dialect: 'wazuh' | 'ossec';
  readonly rules: KnownRules;
  /** Which ids are known for certain not to exist when they are not in `rules`. */
  readonly knowsRule: (id: number) => boolean;
  /** What is wrong with an executable on this host, and what to do; null when nothing is, or nobody can tell. */
  readonly inspectExecutable: (name: string) => ExecutableTrouble | null;
  /** What is checked together with this file, and told of by itself. */
  readonly otherFiles: readonly OtherFile[];
}

export interface OtherFile {
  readonly path: string;
  readonly document: XmlDocument;
}

export interface ExecutableTrouble {
  readonly severity: Diagnosis['severity'];
  readonly cause: string;
  readonly fix: string;
}

/** Elements below `<ossec_config>` that this program has to do with. */
const OURS = ['command', 'active-response', 'global', 'alerts', 'email_alerts', 'localfile'];
/** Of a localfile only what our log depends on: other words may be a program's own. */
const OF_LOCALFILE = ['location', 'log_format'];

export function checkOssecConf(document: XmlDocument, surroundings: Surroundings): Diagnosis[] {
  const sections = sectionsOf(document);
  const named = (name: string): Element[] => sections.filter((section) => section.name === name);
  const elsewhere = (name: string): Element[] => {
    return surroundings.otherFiles.flatMap((other) => {
      return sectionsOf(other.document).filter((section) => section.name === name);
    });
  };
  const responses = named('active-response');
  const commands = commandsIn(named('command'), surroundings.otherFiles);
  return [
    ...sections.filter(({ name }) => OURS.includes(name)).flatMap(checkCharacters),
    ...named('command').flatMap((command) => checkCommand(command, surroundings)),
    ...checkNames(named('command')),
    ...responses.flatMap((response) => checkResponse(response, commands, surroundings)),
    ...checkSharedExecutables(responses, commands),
    ...named('global').flatMap(checkWhiteList),
    ...checkReadsLog(named('client'), [...named('localfile'), ...elsewhere('localfile')]),
    ...checkMail(
      { globals: named('global'), alerts: named('alerts'), mails: named('email_alerts') },
      { globals: elsewhere('global'), alerts: elsewhere('alerts') },
      surroundings.rules,
    ),
  ].sort((one, other) => one.line - other.line || one.column - other.column);
}

/** A command, and where it is defined: null in the file at hand. */
interface Command {
  readonly element: Element;
  readonly file: string | null;
}

/** Those of the file at hand come last, since the last of a name counts. */
function commandsIn(own: readonly Element[], otherFiles: readonly OtherFile[]): Command[] {
  const others = otherFiles.flatMap(({ path, document }) => {
    const elements = sectionsOf(document).filter(({ name }) => name === 'command');
    return elements.map((element) => ({ element, file: path }));
  });
  return [...others, ...own.map((element) => ({ element, file: null }))];
}

function placeOf({ element, file }: Command): string {
  return file === null ? `in line ${element.line}` : `in line ${element.line} of ${file}`;
}

/** Well-formed, and yet not what was meant. */
function checkCharacters(section: Element): Diagnosis[] {
  return section.children.flatMap(({ text, textAt, name }) => {
    if (section.name === 'localfile' && !OF_LOCALFILE.includes(name)) return [];
    const index = Array.from({ length: text.length }).findIndex((_, at) => {
      return nameStrangeCharacter(text[at] ?? '') !== null;
    });
    const strange = nameStrangeCharacter(text[index] ?? '');
    if (strange === null) return [];
    const at = text.includes('\n') ? textAt : { ...textAt, column: textAt.column + index };
    const cause = `the value of <${name}> contains ${strange}`;
    return [diagnose('error', at, cause, 'remove it, or type it again on the keyboard')];
  });
}

function checkCommand(command: Element, around: Surroundings): Diagnosis[] {
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
  return [...found, ...checkExpect(command, around)];
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

function isOurs(executable: string): boolean {
  return /^firewall-drop(?:\.sh)?$/.test(executable);
}

function checkNames(commands: readonly Element[]): Diagnosis[] {
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

/** What makes a section of that name a response, and not an agent's settings. */
const RESPONSE_FIELDS = ['command', 'location', 'rules_id', 'rules_group', 'level', 'timeout'];
const LOCATIONS = ['local', 'server', 'analysisd', 'defined-agent', 'all'];

function checkResponse(
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
    found.push(diagnose('warning', disabled, cause, 'write no, or remove <disabled>'));
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
    return [diagnose('error', response, cause, 'add <command>, the <name> of a command')];
  }
  const command = commands.findLast(({ element }) => valueOf(element, 'name') === name.text);
  if (command === undefined) {
    const known = commands.map(({ element }) => quote(valueOf(element, 'name'))).join(', ');
    const cause = `no command is called ${quote(name.text)}`;
    const fix = `define it before, or name one that is defined (${known === '' ? 'none is' : known})`;
    return [diagnose('error', name.textAt, cause, fix)];
  }
  const executable = valueOf(command.element, 'executable');
  const trouble = around.inspectExecutable(executable);
  const found = checkTimeout(response, command);
  if (trouble !== null) {
    const own = child(command.element, 'executable')?.textAt ?? command.element;
    const at = command.file === null ? own : name.textAt;
    found.push(diagnose(trouble.severity, at, trouble.cause, trouble.fix));
  }
  return found;
}

function checkTimeout(response: Element, command: Command): Diagnosis[] {
  const timeout = child(response, 'timeout');
  const allowed = valueOf(command.element, 'timeout_allowed') === 'yes';
  if (timeout === undefined) {
    if (!isOurs(valueOf(command.element, 'executable'))) return [];
    const cause = 'there is no <timeout>: what this response blocks stays blocked for ever';
    return [diagnose('warning', response, cause, 'add <timeout>, in seconds')];
  }
  if (!/^[0-9]{1,9}$/.test(timeout.text)) {
    const cause = `${quote(timeout.text)} is no number of seconds`;
    return [
      diagnose('error', timeout.textAt, cause, 'write digits alone: <timeout>3600</timeout>'),
    ];
  }
  if (allowed || Number(timeout.text) === 0) return [];
  const cause = `the command ${quote(valueOf(command.element, 'name'))} does not allow a timeout, so this one is ignored and the block never ends`;
  const fix = `add <timeout_allowed>yes</timeout_allowed> to the command ${placeOf(command)}`;
  return [diagnose('error', timeout, cause, fix)];
}

function checkLocation(response: Element): Diagnosis[] {
  const location = child(response, 'location');
  if (location === undefined) {
    const fix = `add one of ${LOCATIONS.join(', ')}`;
    return [diagnose('error', response, 'this response has no <location>', fix)];
  }
  if (!location.text.split(',').every((word) => LOCATIONS.includes(word.trim()))) {
    const cause = `${quote(location.text)} is no location`;
    return [diagnose('error', location.textAt, cause, `write one of ${LOCATIONS.join(', ')}`)];
  }
  const agent = child(response, 'agent_id');
  const isDefined = location.text.includes('defined-agent');
  if (isDefined && agent === undefined) {
    const cause = 'defined-agent says that <agent_id> names the agent, and there is none';
    return [diagnose('error', location.textAt, cause, 'add <agent_id>001</agent_id>')];
  }
  if (agent === undefined) return [];
  if (!isDefined) {
    const cause = '<agent_id> is ignored unless the location is defined-agent';
    return [diagnose('warning', agent, cause, 'remove it, or change the location')];
  }
  if (/^[0-9]{1,8}$/.test(agent.text)) return [];
  const cause = `${quote(agent.text)} is no id of an agent`;
  return [diagnose('error', agent.textAt, cause, 'write its number, from agent_control -l')];
}

function checkTrigger(response: Element, around: Surroundings): Diagnosis[] {
  const triggers = ['rules_id', 'rules_group', 'level'];
  if (!response.children.some(({ name }) => triggers.includes(name))) {
    const cause = 'nothing says which alerts start this response: every alert does';
    return [diagnose('warning', response, cause, 'add <rules_id>, <rules_group> or <level>')];
  }
  const rules = child(response, 'rules_id');
  return [
    ...checkTriggerLevel(child(response, 'level')),
    ...(rules === undefined ? [] : checkRuleIds(rules, around)),
  ];
}

function checkTriggerLevel(level: Element | undefined): Diagnosis[] {
  if (level === undefined || isLevel(level.text)) return [];
  const cause = `${quote(level.text)} is no level of an alert`;
  return [diagnose('error', level.textAt, cause, `write a number from 1 to ${HIGHEST_LEVEL}`)];
}

function checkRuleIds(ids: Element, { rules, knowsRule }: Surroundings): Diagnosis[] {
  return ids.text.split(/[\s,|]+/).flatMap((id) => {
    const at = { ...ids.textAt, column: ids.textAt.column + ids.text.indexOf(id) };
    const place = ids.text.includes('\n') ? ids.textAt : at;
    if (!/^[0-9]{1,6}$/.test(id)) {
      const cause = `${quote(id)} is no id of a rule`;
      return [diagnose('error', place, cause, 'write ids, with commas between them')];
    }
    if (rules.has(id) || !knowsRule(Number(id))) return [];
    const cause = `no rule file here defines rule ${id}: this never happens`;
    return [diagnose('error', place, cause, 'correct the id, or add the rule to local_rules.xml')];
  });
}

const MOST_REPEATED_OFFENDERS = 5;

function checkRepeatedOffenders(response: Element): Diagnosis[] {
  const element = child(response, 'repeated_offenders');
  if (element === undefined) return [];
  const values = element.text.split(',').map((value) => value.trim());
  if (!values.every((value) => /^[1-9][0-9]{0,8}$/.test(value))) {
    const cause = 'repeated_offenders has a value that is no number of minutes';
    return [diagnose('error', element.textAt, cause, 'write minutes, for example 30,60,120')];
  }
  if (values.length <= MOST_REPEATED_OFFENDERS) return [];
  const cause = `execd takes ${MOST_REPEATED_OFFENDERS} values and ignores the others`;
  return [diagnose('warning', element.textAt, cause, 'leave out those past the fifth')];
}

function checkSharedExecutables(
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
    const fix = `give them one timeout; see the response in line ${first.line}`;
    return [diagnose('warning', other, cause, fix)];
  });
}

/** Only an agent's file has a client; a manager's may leave the log to its agents. */
function checkReadsLog(clients: readonly Element[], localfiles: readonly Element[]): Diagnosis[] {
  const [client] = clients;
  const isRead = localfiles.some((one) =>
    /\bactive-responses\.log$/.test(valueOf(one, 'location')),
  );
  if (client === undefined || isRead) return [];
  const cause = 'no <localfile> here reads active-responses.log: blocks raise no alert and no mail';
  const fix =
    'add it, as firewall-drop config snippet prints it, or have the agent.conf of its group do so';
  return [diagnose('warning', client, cause, fix)];
}

function checkWhiteList(global: Element): Diagnosis[] {
  return global.children.flatMap((entry) => {
    if (entry.name !== 'white_list') return [];
    const { text, textAt } = entry;
    if (parseNetwork(text) !== null) return [];
    // The shipped configuration has this one.
    if (/^\^?localhost/.test(text)) return [];
    if (/^[0-9.:/\s,-]*$|:.*:/.test(text)) {
      const cause = `${quote(text)} is neither an address nor a netblock: it protects nobody`;
      const fix = 'write one in each <white_list>, for example 192.0.2.7 or 192.0.2.0/24';
      return [diagnose('error', textAt, cause, fix)];
    }
    const cause = `${quote(text)} is a name: it protects only where an alert's srcip is that very name, never an address`;
    return [diagnose('warning', textAt, cause, 'write its addresses as well')];
  });
}
