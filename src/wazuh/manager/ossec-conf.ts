// An ossec.conf: what it says about active responses, white list and mail, and what of it can not work.
import { parseNetwork } from '../../ban/address.ts';
import { diagnose, type Diagnosis } from './diagnosis.ts';
import type { RuleLevels } from './rules.ts';
import { nameStrangeCharacter, type Element, type Position, type XmlDocument } from './xml.ts';

/** What stands outside the file and decides what it means. */
export interface Surroundings {
  readonly dialect: 'wazuh' | 'ossec';
  /** Levels of all rules that are known. */
  readonly levels: RuleLevels;
  /** Which ids are known for certain not to exist when they are not in `levels`. */
  readonly knowsRule: (id: number) => boolean;
  /** What is wrong with an executable on this host, and what to do; null when nothing is, or nobody can tell. */
  readonly inspectExecutable: (name: string) => ExecutableTrouble | null;
}

export interface ExecutableTrouble {
  readonly severity: Diagnosis['severity'];
  readonly cause: string;
  readonly fix: string;
}

/** Elements below `<ossec_config>` that this program has to do with. */
const OURS = ['command', 'active-response', 'global', 'email_alerts'];

/** All `<ossec_config>` of a file are one configuration. */
export function checkOssecConf(document: XmlDocument, surroundings: Surroundings): Diagnosis[] {
  const sections = document.roots
    .filter(({ name }) => name === 'ossec_config' || name === 'agent_config')
    .flatMap(({ children }) => children);
  const named = (name: string): Element[] => sections.filter((section) => section.name === name);
  const responses = named('active-response');
  const commands = named('command');
  return [
    ...sections.filter(({ name }) => OURS.includes(name)).flatMap(checkCharacters),
    ...commands.flatMap((command) => checkCommand(command, surroundings)),
    ...checkNames(commands),
    ...responses.flatMap((response) => checkResponse(response, commands, surroundings)),
    ...checkSharedExecutables(responses, commands),
    ...named('global').flatMap(checkWhiteList),
    ...checkMail(named('global'), named('alerts'), named('email_alerts'), surroundings),
  ].sort((one, other) => one.line - other.line || one.column - other.column);
}

function child(element: Element | undefined, name: string): Element | undefined {
  return element?.children.findLast((one) => one.name === name);
}

function valueOf(element: Element | undefined, name: string): string {
  return child(element, name)?.text ?? '';
}

/** Well-formed, and yet not what was meant. */
function checkCharacters(section: Element): Diagnosis[] {
  return section.children.flatMap(({ text, textAt, name }) => {
    const index = Array.from({ length: text.length }).findIndex((_, at) => {
      return nameStrangeCharacter(text[at] ?? '') !== null;
    });
    const strange = nameStrangeCharacter(text[index] ?? '');
    if (strange === null) return [];
    const at = text.includes('\n') ? textAt : { ...textAt, column: textAt.column + index };
    const cause = `the value of <${name}> contains ${strange}`;
    return [diagnose('error', at, cause, 'remove it, or type it anew on the keyboard')];
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
  commands: readonly Element[],
  around: Surroundings,
): Diagnosis[] {
  const found = checkRepeatedOffenders(response);
  if (!response.children.some(({ name }) => RESPONSE_FIELDS.includes(name))) return found;
  if (valueOf(response, 'disabled') === 'yes') {
    const cause = 'this response is disabled: it never blocks';
    found.push(
      diagnose('warning', child(response, 'disabled') ?? response, cause, 'remove <disabled>'),
    );
  }
  return [
    ...found,
    ...checkCommandOfResponse(response, commands, around),
    ...checkLocation(response),
    ...checkTrigger(response, around),
  ];
}

function checkCommandOfResponse(
  response: Element,
  commands: readonly Element[],
  around: Surroundings,
): Diagnosis[] {
  const name = child(response, 'command');
  if (name === undefined || name.text === '') {
    const cause = 'this response names no command';
    return [diagnose('error', response, cause, 'add <command>, the <name> of a command')];
  }
  const command = commands.findLast((one) => valueOf(one, 'name') === name.text);
  if (command === undefined) {
    const known = commands.map((one) => quote(valueOf(one, 'name'))).join(', ');
    const cause = `no command is called ${quote(name.text)}`;
    const fix = `define it before, or name one that is defined (${known === '' ? 'none is' : known})`;
    return [diagnose('error', name.textAt, cause, fix)];
  }
  const executable = valueOf(command, 'executable');
  const trouble = around.inspectExecutable(executable);
  const found = checkTimeout(response, command);
  if (trouble !== null) {
    const at = child(command, 'executable')?.textAt ?? command;
    found.push(diagnose(trouble.severity, at, trouble.cause, trouble.fix));
  }
  return found;
}

function checkTimeout(response: Element, command: Element): Diagnosis[] {
  const timeout = child(response, 'timeout');
  const allowed = valueOf(command, 'timeout_allowed') === 'yes';
  if (timeout === undefined) {
    if (!isOurs(valueOf(command, 'executable'))) return [];
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
  const cause = `the command ${quote(valueOf(command, 'name'))} does not allow a timeout, so this one is ignored and the block never ends`;
  const fix = `add <timeout_allowed>yes</timeout_allowed> to the command in line ${command.line}`;
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
  return rules === undefined ? [] : checkRuleIds(rules, around);
}

function checkRuleIds(rules: Element, { levels, knowsRule }: Surroundings): Diagnosis[] {
  return rules.text.split(/[\s,|]+/).flatMap((id) => {
    const at = { ...rules.textAt, column: rules.textAt.column + rules.text.indexOf(id) };
    const place = rules.text.includes('\n') ? rules.textAt : at;
    if (!/^[0-9]{1,6}$/.test(id)) {
      const cause = `${quote(id)} is no id of a rule`;
      return [diagnose('error', place, cause, 'write ids, with commas between them')];
    }
    if (levels.has(id) || !knowsRule(Number(id))) return [];
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
  commands: readonly Element[],
): Diagnosis[] {
  const executables = new Map(
    commands.map((command) => [valueOf(command, 'name'), valueOf(command, 'executable')]),
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
    const cause = `responses share ${quote(executable)} with timeouts of ${timeouts.join(', ')} seconds: execd keeps one entry for an address, and a later alert, of whichever response, starts the clock of that one anew`;
    const fix = `give them one timeout; see the response in line ${first.line}`;
    return [diagnose('warning', other, cause, fix)];
  });
}

const NETMASK = /^([0-9.]+)\/([0-9]+(?:\.[0-9]+){3})$/;

function checkWhiteList(global: Element): Diagnosis[] {
  return global.children.flatMap((entry) => {
    if (entry.name !== 'white_list') return [];
    const { text, textAt } = entry;
    const [, address = '', mask = ''] = NETMASK.exec(text) ?? [];
    if (parseNetwork(text) !== null || (parseNetwork(address) && parseNetwork(mask))) return [];
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

const DEFAULT_MAIL_LEVEL = 12;

function checkMail(
  globals: readonly Element[],
  alerts: readonly Element[],
  mails: readonly Element[],
  around: Surroundings,
): Diagnosis[] {
  const last = (name: string): Element | undefined => {
    return globals.flatMap(({ children }) => children).findLast((one) => one.name === name);
  };
  const notification = last('email_notification');
  const isOn = notification?.text === 'yes';
  const found: Diagnosis[] = [];
  for (const name of isOn ? ['email_to', 'smtp_server', 'email_from'] : []) {
    if ((last(name)?.text ?? '') !== '' || notification === undefined) continue;
    const cause = `mail is on, and <global> has no <${name}>: no mail can be sent`;
    found.push(diagnose('error', notification, cause, `add <${name}>`));
  }
  const [firstMail] = mails;
  if (firstMail !== undefined && !isOn) {
    const cause = 'these mails are never sent: email_notification is not yes';
    const fix = 'write <email_notification>yes</email_notification> in <global>';
    found.push(diagnose('error', notification ?? firstMail, cause, fix));
  }
  const setting = alerts.map((one) => child(one, 'email_alert_level')).findLast(Boolean);
  const level = setting === undefined ? DEFAULT_MAIL_LEVEL : Number(setting.text);
  return [...found, ...mails.flatMap((mail) => checkMailAlert(mail, level, around))];
}

function checkMailAlert(mail: Element, level: number, { levels }: Surroundings): Diagnosis[] {
  if (valueOf(mail, 'email_to') === '') {
    return [diagnose('error', mail, 'nobody gets these mails', 'add <email_to>')];
  }
  const rules = child(mail, 'rule_id');
  if (rules === undefined) return [];
  const ids = rules.text.split(/[\s,]+/).filter((id) => (levels.get(id) ?? level) < level);
  if (ids.length === 0) return [];
  const what = ids.map((id) => `${id} (level ${levels.get(id) ?? 0})`).join(', ');
  const cause = `mail goes out from level ${level} on, so these rules never mail: ${what}`;
  const fix = `raise them in local_rules.xml with overwrite="yes": firewall-drop config snippet prints how`;
  return [diagnose('error', rules.textAt satisfies Position, cause, fix)];
}

const LONGEST_QUOTE = 60;

function quote(text: string): string {
  return JSON.stringify(text.length > LONGEST_QUOTE ? `${text.slice(0, LONGEST_QUOTE)}…` : text);
}
