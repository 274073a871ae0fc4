/** Makes the input that execd passes to an active response: messages of Wazuh 4 and 5, arguments of OSSEC. */

export type Json = string | number | boolean | null | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json;
}

export interface Wazuh4Offence {
  readonly srcip?: string;
  readonly alertId?: string;
  readonly ruleId?: string;
  /** Further fields of `data`. If they are given without `srcip`, `data` has no srcip. */
  readonly data?: JsonObject;
  /** Further fields of the alert, or replacements for its fields. */
  readonly extra?: JsonObject;
}

export interface Wazuh4Fields extends Wazuh4Offence {
  readonly command?: string;
  readonly program?: string;
  /** The arguments that the manager's administrator configured for the response. */
  readonly extraArguments?: readonly string[];
  /** The whole alert, instead of one built from the other fields. */
  readonly alert?: JsonObject;
}

export interface Wazuh5Fields {
  readonly command?: string;
  readonly srcip?: string;
  readonly executable?: string;
  readonly type?: 'stateful' | 'stateless';
  readonly timeoutSeconds?: number;
  readonly extraArguments?: readonly string[];
  readonly extra?: JsonObject;
}

export interface OssecFields {
  readonly command?: string;
  readonly user?: string;
  readonly srcip?: string;
  readonly alertId?: string;
  readonly ruleId?: string;
}

export const ATTACKER = '203.0.113.7';
const ALERT_ID = '1628597593.1234567';
const RULE_ID = '5710';

export function wazuh4Alert(offence: Wazuh4Offence = {}): JsonObject {
  const { alertId = ALERT_ID, ruleId = RULE_ID, data = {}, extra = {} } = offence;
  const srcip = offence.srcip ?? (offence.data === undefined ? ATTACKER : undefined);
  return {
    timestamp: '2021-08-10T12:13:13.999+0000',
    rule: {
      level: 5,
      description: 'sshd: Attempt to login using a non-existent user',
      id: ruleId,
    },
    agent: { id: '001', name: 'web01' },
    manager: { name: 'node01' },
    id: alertId,
    full_log: `Aug 10 12:13:13 web01 sshd[1234]: Invalid user admin from ${srcip ?? 'UNKNOWN'} port 54321`,
    decoder: { parent: 'sshd', name: 'sshd' },
    data: { ...(srcip !== undefined && { srcip }), srcport: '54321', srcuser: 'admin', ...data },
    location: '/var/log/auth.log',
    ...extra,
  };
}

export function wazuh4Object(fields: Wazuh4Fields = {}): JsonObject {
  const { command = 'add', program = 'active-response/bin/firewall-drop' } = fields;
  return {
    version: 1,
    origin: { name: 'node01', module: 'wazuh-execd' },
    command,
    parameters: {
      extra_args: fields.extraArguments ?? [],
      alert: fields.alert ?? wazuh4Alert(fields),
      program,
    },
  };
}

export function wazuh4Message(fields: Wazuh4Fields = {}): string {
  return asLine(wazuh4Object(fields));
}

export function wazuh5Object(fields: Wazuh5Fields = {}): JsonObject {
  const { command = 'enable', srcip = ATTACKER, executable = 'firewall-drop', extra = {} } = fields;
  const { type = 'stateful', timeoutSeconds = 180 } = fields;
  return {
    wazuh: {
      active_response: {
        name: 'block-ip',
        executable,
        location: 'local',
        type,
        ...(type === 'stateful' && { stateful_timeout: timeoutSeconds }),
        extra_arguments: (fields.extraArguments ?? []).join(' '),
      },
      agent: { id: '001', name: 'web01' },
      rule: { id: '5b9a4f0e-6d0f-4c7e-9f3a-2f6f1f1f7a10', title: 'SSH brute force' },
    },
    event: { doc_id: 'AVq1', index: 'wazuh-events-v5-access-management' },
    source: { ip: srcip, port: 51234 },
    ...extra,
    // execd appends it, so it comes last.
    command,
  };
}

export function wazuh5Message(fields: Wazuh5Fields = {}): string {
  return asLine(wazuh5Object(fields));
}

/** Returns the arguments after the program's name. */
export function ossecArguments(fields: OssecFields = {}): string[] {
  const { command = 'add', user = '-', srcip = ATTACKER } = fields;
  const { alertId = ALERT_ID, ruleId = RULE_ID } = fields;
  return [command, user, srcip, alertId, ruleId];
}

/** Returns execd's answer to a check_keys line: the same message with another command. */
export function answerTo(message: string, command: 'continue' | 'abort'): string {
  return asLine({ ...(JSON.parse(message) as JsonObject), command });
}

/** Returns the message as cJSON prints it unformatted, with a line feed. */
function asLine(message: JsonObject): string {
  return `${JSON.stringify(message)}\n`;
}
