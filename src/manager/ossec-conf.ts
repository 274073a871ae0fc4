// Checks the active responses, the white list and the mail settings of an ossec.conf.
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

/** The sections of `<ossec_config>` that concern this program. */
const OURS = ['command', 'active-response', 'global', 'alerts', 'email_alerts', 'localfile'];
/** The elements of a localfile that our log depends on. Others can contain any text. */
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

/** Finds typographic quotes and invisible spaces, which are well-formed XML but certainly mistakes. */
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

/**
 * Checks that an agent reads the response log. Only an agent's file has a <client>; a manager need not read that log.
 */
function checkReadsLog(clients: readonly Element[], localfiles: readonly Element[]): Diagnosis[] {
  const [client] = clients;
  const isRead = localfiles.some((one) =>
    /\bactive-responses\.log$/.test(valueOf(one, 'location')),
  );
  if (client === undefined || isRead) return [];
  const cause =
    'no <localfile> reads active-responses.log: blocks raise no alerts and send no mail';
  const fix =
    'add the <localfile> that firewall-drop config snippet prints, here or to the agent.conf of the group';
  return warning(client, cause, fix);
}

function checkWhiteList(global: Element): Diagnosis[] {
  return global.children.flatMap((entry) => {
    if (entry.name !== 'white_list') return [];
    const { text, textAt } = entry;
    if (parseNetwork(text) !== null) return [];
    // The shipped configuration has this entry.
    if (/^\^?localhost/.test(text)) return [];
    if (/^[0-9.:/\s,-]*$|:.*:/.test(text)) {
      const cause = `${quote(text)} is not an address or a network, and protects nothing`;
      const fix = 'write one per <white_list>, for example 192.0.2.7 or 192.0.2.0/24';
      return error(textAt, cause, fix);
    }
    const cause = `${quote(text)} is a host name: it matches only alerts whose srcip is this name, not its addresses`;
    return warning(textAt, cause, 'add its addresses as well');
  });
}
