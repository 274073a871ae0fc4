// An ossec.conf: what it says about active responses, white list and mail, and what of it can not work.
import { parseNetwork } from '../model/address.ts';
import { error, warning, type Diagnosis, type Surroundings } from './diagnosis.ts';
import { checkMail } from './mail.ts';
import {
  checkCommand,
  checkNames,
  checkResponse,
  checkSharedExecutables,
  commandsIn,
} from './responses.ts';
import { quote } from '../system/printable.ts';
import { findStrange } from './typing.ts';
import { sectionsOf, valueOf, type Element, type XmlDocument } from './xml.ts';

/** Elements below `<ossec_config>` that this program has to do with. */
const OURS = ['command', 'active-response', 'global', 'alerts', 'email_alerts', 'localfile'];
/** Of a localfile only what our log depends on: other words may be a program's own. */
const OF_LOCALFILE = ['location', 'log_format'];

export function checkOssecConf(document: XmlDocument, surroundings: Surroundings): Diagnosis[] {
  const sections = sectionsOf(document);
  const others = surroundings.otherFiles.flatMap((other) => sectionsOf(other.document));
  const named = (name: string): Element[] => sections.filter((section) => section.name === name);
  const elsewhere = (name: string): Element[] => others.filter((section) => section.name === name);
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
    ...checkMail(named, elsewhere, surroundings.rules),
  ].sort((one, other) => one.line - other.line || one.column - other.column);
}

/** Well-formed, and yet not what was meant. */
function checkCharacters(section: Element): Diagnosis[] {
  return section.children.flatMap(({ text, textAt, name }) => {
    if (section.name === 'localfile' && !OF_LOCALFILE.includes(name)) return [];
    const strange = findStrange(text);
    if (strange === null) return [];
    const at = text.includes('\n') ? textAt : { ...textAt, column: textAt.column + strange.at };
    const cause = `the value of <${name}> contains ${strange.what}`;
    return error(at, cause, 'remove it, or type it again on the keyboard');
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
  return warning(client, cause, fix);
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
      return error(textAt, cause, fix);
    }
    const cause = `${quote(text)} is a name: it protects only where an alert's srcip is that very name, never an address`;
    return warning(textAt, cause, 'write its addresses as well');
  });
}
