// What to configure on a manager and its agents, as text for a person to copy: complete, commented, and with where it goes.
// The texts are packaging/snippets/.
import { packagedLines, type Values } from './packaged.ts';

export interface SnippetRequest {
  readonly wazuh: '4' | '5' | 'ossec';
  /** Null: blocks have no end. */
  readonly timeoutSeconds: number | null;
  readonly ruleIds: readonly string[];
  readonly location: string;
  /** Null unless the location is defined-agent. */
  readonly agentId: string | null;
  readonly allow: readonly string[];
  /** Null: no mail. */
  readonly mailTo: string | null;
}

/** Lines without their ends. For Wazuh 4 and OSSEC they are XML as a whole, of several files. */
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
  const isTimed = timeoutSeconds !== null;
  const isAllowing = allow.length > 0;
  /** These have no text: they say whether the line is there. */
  const conditions = {
    [location]: true,
    wazuh: wazuh !== 'ossec',
    ossec: wazuh === 'ossec',
    timed: isTimed,
    endless: !isTimed,
    allows: isAllowing,
    open: !isAllowing,
    mails: mailTo !== null,
    global: isAllowing || mailTo !== null,
  };
  const flags = Object.entries(conditions).map(([name, holds]) => [name, holds ? [''] : []]);
  return {
    ...(Object.fromEntries(flags) as Values),
    location: [location],
    agent: agentId === null ? [] : [agentId],
    rules: [ruleIds.join(isXml ? ',' : ', ')],
    timeout: isTimed ? [String(timeoutSeconds)] : [],
    allow,
    allowed: [allow.join(', ')],
    mail,
  };
}
