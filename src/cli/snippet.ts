// Generates the commented configuration for a manager and its agents from the templates in packaging/snippets/, for a
// person to copy.
import { packagedLines, when, type Values } from './packaged.ts';

export const LOCATIONS = ['local', 'server', 'defined-agent', 'all'] as const;

export interface SnippetRequest {
  readonly wazuh: '4' | '5' | 'ossec';
  /** null if bans never end. */
  readonly timeoutSeconds: number | null;
  readonly ruleIds: readonly string[];
  readonly location: (typeof LOCATIONS)[number];
  /** null unless the location is defined-agent. */
  readonly agentId: string | null;
  readonly allow: readonly string[];
  /** null for no mail. */
  readonly mailTo: string | null;
}

/** Returns the lines, without line ends. For Wazuh 4 and OSSEC they are XML for several files. */
export function renderSnippet(request: SnippetRequest): string[] {
  const { wazuh } = request;
  const rules = `snippet-rules-${wazuh === 'ossec' ? 'ossec' : 'wazuh'}.xml`;
  const parts =
    wazuh === '5' ? ['snippet-wazuh5.txt'] : ['snippet-manager.xml', rules, 'snippet-agent.xml'];
  const values = valuesOf(request);
  return parts.flatMap((part, index) => {
    return [...(index === 0 ? [] : ['']), ...packagedLines(part, values)];
  });
}

function valuesOf(request: SnippetRequest): Values {
  const { wazuh, timeoutSeconds, ruleIds, location, agentId, allow, mailTo } = request;
  const isXml = wazuh !== '5';
  const mail = mailTo === null ? [] : [isXml ? mailTo.replaceAll('&', '&amp;') : mailTo];
  return {
    ...when('ossec', wazuh === 'ossec', 'wazuh'),
    ...when('timed', timeoutSeconds !== null, 'endless'),
    ...when('allows', allow.length > 0, 'open'),
    ...when('mails', mailTo !== null, 'mailless'),
    ...when('global', allow.length > 0 || mailTo !== null, 'plain'),
    ...Object.fromEntries(LOCATIONS.map((one) => [one, one === location ? [''] : []])),
    location: [location],
    agent: agentId === null ? [] : [agentId],
    rules: [ruleIds.join(isXml ? ',' : ', ')],
    timeout: timeoutSeconds === null ? [] : [String(timeoutSeconds)],
    allow,
    allowed: [allow.join(', ')],
    mail,
  };
}
