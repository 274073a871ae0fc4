// Generates the commented configuration for a manager and its agents, for a person to copy.

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

/** The email_alert_level of the ossec.conf that Wazuh installs. OSSEC's is 7. */
const MAIL_LEVEL = 12;
const HOME = '/var/ossec';

/** Returns the lines, without line ends. For Wazuh 4 and OSSEC they are XML for several files. */
export function renderSnippet(request: SnippetRequest): string[] {
  const parts =
    request.wazuh === '5'
      ? [renderChannel(request)]
      : [renderManager(request), renderRules(request), renderAgent(request)];
  return parts.join('\n\n').split('\n');
}

/** Returns a part of a template, with its line end, if a condition holds; otherwise an empty string. */
function when(holds: boolean, text: string): string {
  return holds ? `${text}\n` : '';
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

const LOCATIONS: Readonly<Record<string, string>> = {
  local: 'local: on the agent that saw the attack.',
  server: 'server: on the manager alone.',
  'defined-agent': 'defined-agent: on one agent, whichever agent saw the attack.',
  all: 'all: on every agent, whichever agent saw the attack, but not on the manager.',
};

function renderManager(request: SnippetRequest): string {
  const { wazuh, timeoutSeconds, ruleIds, location, agentId } = request;
  const isOssec = wazuh === 'ossec';
  const expect = `    <!-- Without this, OSSEC passes no address. -->
    <expect>srcip</expect>`;
  const timeout =
    timeoutSeconds === null
      ? '    <!-- No timeout: an address stays blocked until a person releases it. -->'
      : `    <!-- Seconds. -->
    <timeout>${timeoutSeconds}</timeout>`;
  return `<!--
  1. On the manager, append this to ${HOME}/etc/ossec.conf. The file can have several
  ossec_config sections. Each numbered part belongs to a different file. Check each
  file with firewall-drop config check FILE, then restart the manager.
-->
<ossec_config>
  <!-- A fresh installation already has this command: then omit this section. -->
  <command>
    <name>firewall-drop</name>
    <!-- The name of a file in active-response/bin of the agent, not a path. -->
    <executable>firewall-drop${isOssec ? '.sh' : ''}</executable>
${when(isOssec, expect)}    <!-- Without this, the timeout below is ignored and bans never end. -->
    <timeout_allowed>${timeoutSeconds === null ? 'no' : 'yes'}</timeout_allowed>
  </command>

  <active-response>
    <command>firewall-drop</command>
    <!-- ${LOCATIONS[location] ?? location} -->
    <location>${location}</location>
${when(agentId !== null, `    <agent_id>${agentId ?? ''}</agent_id>`)}    <!-- Use rule ids: a level or a group can match more alerts than expected. -->
    <rules_id>${ruleIds.join(',')}</rules_id>
${timeout}
  </active-response>
${when(!isOssec, RELEASE)}${renderGlobal(request)}${renderMail(request)}</ossec_config>`;
}

/** The command that releases an address. Not for OSSEC, which passes no arguments. */
const RELEASE = `
  <!-- Releases an address on the agents, as a response to a rule or through the API:
       PUT /active-response?agents_list=all
       {"command":"!firewall-drop","arguments":["release"],"alert":{"data":{"srcip":"ADDRESS"}}} -->
  <command>
    <name>firewall-drop-release</name>
    <executable>firewall-drop</executable>
    <extra_args>release</extra_args>
    <timeout_allowed>no</timeout_allowed>
  </command>`;

function renderGlobal({ allow, mailTo }: SnippetRequest): string {
  if (allow.length === 0 && mailTo === null) return '';
  const whiteList = [
    '    <!-- Only the manager uses this list. Also add the addresses to protect.allow',
    '         in /etc/firewall-drop/config.toml on each host. -->',
    ...allow.map((entry) => `    <white_list>${entry}</white_list>`),
  ].join('\n');
  const mail = `    <!-- Replace the server and the sender with yours. -->
    <email_notification>yes</email_notification>
    <smtp_server>localhost</smtp_server>
    <email_from>wazuh@localhost</email_from>
    <email_to>${escapeXml(mailTo ?? '')}</email_to>`;
  return `
  <global>
${when(allow.length > 0, whiteList)}${when(mailTo !== null, mail)}  </global>
`;
}

function renderMail({ wazuh, mailTo }: SnippetRequest): string {
  if (mailTo === null) return '';
  return `
  <!-- These rules send mail because part 2 raises them to level ${MAIL_LEVEL}, the
       email_alert_level of a fresh installation. -->
  <email_alerts>
    <email_to>${escapeXml(mailTo)}</email_to>
    <rule_id>${wazuh === '4' ? '601,602,651,652' : '601,602'}</rule_id>
    <do_not_delay/>
  </email_alerts>
`;
}

/**
 * The compliance groups of the shipped rules. An overwritten rule loses them unless it repeats them, and dashboards use
 * them.
 */
const COMPLIANCE =
  'pci_dss_11.4,gpg13_4.13,gdpr_IV_35.7.d,nist_800_53_SI.4,tsc_CC6.1,tsc_CC6.8,tsc_CC7.2,tsc_CC7.3,tsc_CC7.4,';

/** The parent rules, with the conditions of their child rules for add and delete. */
const RULES = {
  ossec: [{ parent: 600, fields: ['<action>firewall-drop.sh</action>', '<status>VERB</status>'] }],
  wazuh: [
    {
      parent: 600,
      fields: ['<field name="script">firewall-drop</field>', '<field name="type">VERB</field>'],
    },
    {
      parent: 650,
      fields: [
        '<field name="parameters.program">firewall-drop</field>',
        '<field name="command">VERB</field>',
      ],
    },
  ],
} as const;

function renderRules({ wazuh }: SnippetRequest): string {
  const isOssec = wazuh === 'ossec';
  const [directory, program, groups] = isOssec
    ? ['rules', 'firewall-drop.sh', '']
    : ['etc/rules', 'firewall-drop', COMPLIANCE];
  const rules = RULES[isOssec ? 'ossec' : 'wazuh'].flatMap(({ parent, fields: [first, second] }) =>
    (['add', 'delete'] as const).map((verb, index) => {
      return `  <rule id="${parent + 1 + index}" level="${MAIL_LEVEL}" overwrite="yes">
    <if_sid>${parent}</if_sid>
    ${first}
    ${second.replace('VERB', verb)}
    <description>Host ${verb === 'add' ? 'Blocked' : 'Unblocked'} by ${program} Active Response</description>
    <group>active_response,${groups}</group>
  </rule>`;
    }),
  );
  const conditions = isOssec
    ? "OSSEC's ossec_rules.xml, but with status, which newer versions call status_pcre2."
    : `Wazuh 4's 0015-ossec_rules.xml, but with the program's name without .sh, which
  matches both names; 651 and 652 are for log.format = "wazuh" or "both".`;
  return `<!--
  2. On the manager, in ${HOME}/${directory}/local_rules.xml.
  The shipped rules have level 3 and never send mail. This file overwrites them,
  because an upgrade would undo changes in the shipped files. The conditions are those of
  ${conditions}
-->
<group name="ossec,">
${rules.join('\n')}
</group>`;
}

function renderAgent({ timeoutSeconds }: SnippetRequest): string {
  const repeated = `  <active-response>
    <repeated_offenders>30,60,120</repeated_offenders>
  </active-response>`;
  return `<!--
  3. On each agent, append this to ${HOME}/etc/ossec.conf, then restart the agent.
  repeated_offenders: timeouts in minutes for the second, third, … offence, at most
  five; the agent keeps the offences in memory only. The first localfile already exists
  if the agent was installed from its package.
-->
<ossec_config>
${when(timeoutSeconds !== null, repeated)}  <localfile>
    <log_format>syslog</log_format>
    <location>${HOME}/logs/active-responses.log</location>
  </localfile>
  <!-- The program's own log: why a request was refused or failed. -->
  <localfile>
    <log_format>json</log_format>
    <location>${HOME}/logs/firewall-drop.log</location>
  </localfile>
</ossec_config>`;
}

/** Describes the forms to fill in for Wazuh 5, which has no XML for this. */
function renderChannel(request: SnippetRequest): string {
  const { timeoutSeconds, ruleIds, location, agentId, allow, mailTo } = request;
  const type =
    timeoutSeconds === null
      ? 'stateless           (never released by execd)'
      : `stateful
   stateful_timeout  ${timeoutSeconds}               (seconds)`;
  const mail = `3. A second channel of the same monitor, for mail:
   to                ${mailTo ?? ''}
`;
  return `Wazuh 5 is configured in its dashboard, not in a file of the manager.

1. A channel for active responses, with these fields:
   name              firewall-drop
   executable        firewall-drop      (in active-response/bin of the agent)
   type              ${type}
   location          ${location}
${when(agentId !== null, `   agent             ${agentId ?? ''}`)}   extra_arguments   (empty, or keep, timeout=2h, reason=TEXT: see docs/policy.md)

2. A monitor that starts the channel. Its query must select
   - only findings of the rules that block. wazuh.rule.id is a UUID here: look up the
     UUIDs of the rules that replace ${ruleIds.join(', ')} of Wazuh 4;
   - only documents with source.ip: without an address nothing is blocked;
${allow.map((entry) => `   - not source.ip ${entry};\n`).join('')}   It needs one trigger per document, so that every address is passed on.

${when(mailTo !== null, mail)}A further channel with the extra_arguments release releases an address. The API has no call
for this; to do it on every host: ansible wazuh_agents -b -a "firewall-drop delete ADDRESS".

On each host, add the addresses that are never blocked to protect.allow in
/etc/firewall-drop/config.toml${allow.length === 0 ? '' : `: ${allow.join(', ')}`}.`;
}
