// Generates the commented configuration for a manager and its agents from the templates in packaging/snippets/, for a
// person to copy.

export interface SnippetRequest {
  readonly wazuh: '4' | '5' | 'ossec';
  /** null if bans never end. */
  readonly timeoutSeconds: number | null;
  readonly ruleIds: readonly string[];
  readonly location: string;
  /** null unless the location is defined-agent. */
  readonly agentId: string | null;
  readonly allow: readonly string[];
  /** null for no mail. */
  readonly mailTo: string | null;
}

/** Returns the lines, without line ends. For Wazuh 4 and OSSEC they are XML for several files. */
export function renderSnippet(
  request: SnippetRequest,
  templateNamed: (name: string) => string,
): string[] {
  const { wazuh } = request;
  const rules = `snippet-rules-${wazuh === 'ossec' ? 'ossec' : 'wazuh'}.xml`;
  const parts =
    wazuh === '5' ? ['snippet-wazuh5.txt'] : ['snippet-manager.xml', rules, 'snippet-agent.xml'];
  const values = valuesOf(request);
  return parts.flatMap((part, index) => [
    ...(index === 0 ? [] : ['']),
    ...templateNamed(part)
      .trimEnd()
      .split('\n')
      .flatMap((line) => fill(line, values)),
  ]);
}

type Values = Readonly<Record<string, readonly string[]>>;

const NAME = /\{\{([a-z0-9-]+)\}\}/g;

/**
 * Fills in the placeholders of a line. Repeats the line for each value of a placeholder; without values the line is
 * omitted.
 */
function fill(template: string, values: Values): string[] {
  const names = Array.from(template.matchAll(NAME), ([, name = '']) => name);
  return names.reduce(
    (lines, name) => {
      return lines.flatMap((line) => {
        return (values[name] ?? []).map((value) => line.replace(`{{${name}}}`, () => value));
      });
    },
    [template],
  );
}

function valuesOf(request: SnippetRequest): Values {
  const { wazuh, timeoutSeconds, ruleIds, location, agentId, allow, mailTo } = request;
  const isXml = wazuh !== '5';
  const mail = mailTo === null ? [] : [isXml ? mailTo.replaceAll('&', '&amp;') : mailTo];
  const isTimed = timeoutSeconds !== null;
  const isAllowing = allow.length > 0;
  /** Placeholders without text, which only decide whether their line is included. */
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
