// What to configure on a manager and its agents, as text for a person to copy: complete, commented, and with where it goes.

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

/** From this level on mail goes out by the ossec.conf that Wazuh installs; OSSEC's says 7. */
const MAIL_LEVEL = 12;
const HOME = '/var/ossec';

/** Lines without their ends. For Wazuh 4 and OSSEC they are XML as a whole, of several files. */
export function renderSnippet(request: SnippetRequest): string[] {
  const parts =
    request.wazuh === '5'
      ? [renderChannel(request)]
      : [renderManager(request), renderRules(request), renderAgent(request)];
  return parts.join('\n\n').split('\n');
}

/** A part of a template that is there where a condition holds; with its line end, since what follows begins a line. */
function when(holds: boolean, text: string): string {
  return holds ? `${text}\n` : '';
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

const LOCATIONS: Readonly<Record<string, string>> = {
  local: 'local: on the agent that saw the attack.',
  server: 'server: on the manager alone.',
  'defined-agent': 'defined-agent: on one agent, whoever saw the attack.',
  all: 'all: on every agent, whoever saw the attack. The manager itself is not among them.',
};

function renderManager(request: SnippetRequest): string {
  const { wazuh, timeoutSeconds, ruleIds, location, agentId } = request;
  const isOssec = wazuh === 'ossec';
  const expect = `    <!-- Without this OSSEC hands over no address. -->
    <expect>srcip</expect>`;
  const timeout =
    timeoutSeconds === null
      ? '    <!-- No timeout: an address stays blocked until a person releases it. -->'
      : `    <!-- Seconds. -->
    <timeout>${timeoutSeconds}</timeout>`;
  return `<!--
  1. On the manager, at the end of ${HOME}/etc/ossec.conf: a further ossec_config is fine.
  Each numbered part goes into a file of its own place; then check it:
  firewall-drop config check FILE. Restart the manager after that.
-->
<ossec_config>
  <!-- As installed, there is a command of this name: leave this one out then. -->
  <command>
    <name>firewall-drop</name>
    <!-- A file in active-response/bin of the agent, never a path. -->
    <executable>firewall-drop${isOssec ? '.sh' : ''}</executable>
${when(isOssec, expect)}    <!-- Without this the timeout below is ignored, and no block ever ends. -->
    <timeout_allowed>${timeoutSeconds === null ? 'no' : 'yes'}</timeout_allowed>
  </command>

  <active-response>
    <command>firewall-drop</command>
    <!-- ${LOCATIONS[location] ?? location} -->
    <location>${location}</location>
${when(agentId !== null, `    <agent_id>${agentId ?? ''}</agent_id>`)}    <!-- Only these rules: a level or a group blocks more than one expects. -->
    <rules_id>${ruleIds.join(',')}</rules_id>
${timeout}
  </active-response>
${when(!isOssec, RELEASE)}${renderGlobal(request)}${renderMail(request)}</ossec_config>`;
}

/** OSSEC hands over no arguments. */
const RELEASE = `
  <!-- Unblocks an address on the agents: as a response to a rule, or by the API:
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
    '    <!-- Only the manager looks at this list. On each host, name them in',
    '         /etc/firewall-drop/config.toml as well, under protect.allow. -->',
    ...allow.map((entry) => `    <white_list>${entry}</white_list>`),
  ].join('\n');
  const mail = `    <!-- Change server and sender to yours. -->
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
  <!-- These rules mail because part 2 raises them to level ${MAIL_LEVEL}, which reaches the
       email_alert_level of the ossec.conf as installed. -->
  <email_alerts>
    <email_to>${escapeXml(mailTo)}</email_to>
    <rule_id>${wazuh === '4' ? '601,602,651,652' : '601,602'}</rule_id>
    <do_not_delay/>
  </email_alerts>
`;
}

/** As the shipped rules have them: an overwritten rule has only what it says itself, and dashboards look for these. */
const COMPLIANCE =
  'pci_dss_11.4,gpg13_4.13,gdpr_IV_35.7.d,nist_800_53_SI.4,tsc_CC6.1,tsc_CC6.8,tsc_CC7.2,tsc_CC7.3,tsc_CC7.4,';

/** The rules that each of these has below it, for add and delete, and what they ask for besides. */
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
    ? "OSSEC's ossec_rules.xml, with status where newer ones have status_pcre2."
    : `Wazuh 4's 0015-ossec_rules.xml, with the program's name without .sh, which
  matches both; 651 and 652 are for log.format = "wazuh" or "both".`;
  return `<!--
  2. On the manager, in ${HOME}/${directory}/local_rules.xml.
  The shipped rules have level 3 and never mail. They are overwritten here and not
  edited, since an upgrade replaces the shipped files. The conditions are those of
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
  3. On each agent, in ${HOME}/etc/ossec.conf, then restart the agent.
  repeated_offenders: minutes for the second, third, … offence, at most five, kept in
  the agent's memory. The localfile is there already where the agent was installed
  from its package.
-->
<ossec_config>
${when(timeoutSeconds !== null, repeated)}  <localfile>
    <log_format>syslog</log_format>
    <location>${HOME}/logs/active-responses.log</location>
  </localfile>
  <!-- Our own log: why something was refused, or failed. -->
  <localfile>
    <log_format>json</log_format>
    <location>${HOME}/logs/firewall-drop.log</location>
  </localfile>
</ossec_config>`;
}

/** Wazuh 5 has no XML for this: a person fills in a form. */
function renderChannel(request: SnippetRequest): string {
  const { timeoutSeconds, ruleIds, location, agentId, allow, mailTo } = request;
  const type =
    timeoutSeconds === null
      ? 'stateless           (never released by execd)'
      : `stateful
   stateful_timeout  ${timeoutSeconds}               (seconds)`;
  const mail = `3. A second channel, for mail, of the same monitor:
   to                ${mailTo ?? ''}
`;
  return `Wazuh 5 is set up in its dashboard. No file of the manager is edited.

1. A channel for active responses, with these fields:
   name              firewall-drop
   executable        firewall-drop      (in active-response/bin of the agent)
   type              ${type}
   location          ${location}
${when(agentId !== null, `   agent             ${agentId ?? ''}`)}   extra_arguments   (empty; or keep, timeout=2h, reason=TEXT: docs/policy.md)

2. A monitor that starts the channel. Its query has to ask for
   - findings of the rules that are to block, and no others. Rules have UUIDs in
     wazuh.rule.id here; look up those that stand for ${ruleIds.join(', ')} of Wazuh 4;
   - documents in which source.ip exists: without an address nothing is blocked;
${allow.map((entry) => `   - and not source.ip ${entry};\n`).join('')}   - one trigger for each document, so that every address is handed over.

${when(mailTo !== null, mail)}A second channel with extra_arguments release unblocks an address. To do so by hand on every
host there is no call of the API: ansible wazuh_agents -b -a "firewall-drop delete ADDRESS".

On each host, in /etc/firewall-drop/config.toml: addresses that are never blocked
(protect.allow)${allow.length === 0 ? '' : `: ${allow.join(', ')}`}.`;
}
