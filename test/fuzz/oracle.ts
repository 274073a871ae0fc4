/** Checks everything that the parsers accept, with independent implementations where they exist. */
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import type { Address } from '../../src/model/address.ts';
import type { Outcome, Verb } from '../../src/model/ban.ts';
import type { Backend, Change } from '../../src/firewall/backend.ts';
import { createBackend } from '../../src/firewall/select.ts';
import { DEFAULT_ADDRESS_FIELDS } from '../../src/config/schema.ts';
import { DEFAULT_CONFIG } from '../../src/config/schema.ts';
import type { Command } from '../../src/system/exec.ts';
import { UTC } from '../../src/system/zone.ts';
import { parseJson } from '../../src/wazuh/json.ts';
import type { Request } from '../../src/wazuh/request.ts';
import {
  linesOf,
  wazuhLines,
  type Entry,
  type Exchange,
  type LogFormat,
} from '../../src/wazuh/response-lines.ts';
import { ossecRule, wazuhMessageRule, wazuhRule } from '../support/engines.ts';

/** A violation. */
export class Finding extends Error {}

export function must(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Finding(what);
}

/**
 * Returns the canonical text of a literal address according to Node and ipaddr.js; null if the text is not an address.
 */
export function theirText(text: string): string | null {
  if (isIP(text) === 0 || text.includes('%')) return null;
  // ipaddr.js treats the old IPv4-compatible form as a mapped one; inet_pton(3) and the kernel do not.
  if (/^::[0-9]+\./.test(text)) return new URL(`http://[${text}]/`).hostname.slice(1, -1);
  const address = ipaddr.process(text);
  return address instanceof ipaddr.IPv6 ? address.toRFC5952String() : address.toString();
}

export const BACKENDS: readonly Backend[] = (['iptables', 'ipset', 'nftables'] as const).map(
  (name) => createBackend(name, DEFAULT_CONFIG.firewall),
);
/** More commands than any backend needs for one change. */
const MOST_COMMANDS = 4;

/** Returns every command that any backend would run to block and to release an address. */
function commandsFor(address: Address): Command[] {
  const changes: Change[] = [
    { address, to: 'blocked', timeoutSeconds: 600 },
    { address, to: 'released' },
  ];
  return BACKENDS.flatMap((backend) => changes.flatMap((change) => commandsBy(backend, [change])));
}

function commandsBy(backend: Backend, changes: readonly Change[]): Command[] {
  const [{ address }] = changes as [Change];
  const look = backend.plan(address.family, backend.nothingKnown, changes);
  const commands: Command[] = look === null ? [] : [look];
  let view = backend.expect(changes, []);
  for (let count = 0; count < MOST_COMMANDS; count++) {
    const command = backend.plan(address.family, view, changes);
    if (command === null) break;
    commands.push(command);
    view = backend.simulate(view, command, changes);
  }
  return commands;
}

/** The grammar of all commands. `A` stands for an address. */
const ARGUMENTS =
  /^(?:-w|10|--noflush|-exist|-|restore|list|firewall-drop-[46]|-t|-j|ruleset|inet)$/;
const INPUT_LINES = [
  /^(?:\*filter|\*raw|COMMIT|-S|)$/,
  /^-(?:I (?:INPUT|FORWARD|DOCKER-USER) [1-9]\d*|D (?:INPUT|FORWARD|DOCKER-USER)) -s A\/(?:32|128) -j DROP$/,
  /^-(?:I PREROUTING [1-9]\d*|D PREROUTING) -m set --match-set firewall-drop-[46] src -j DROP$/,
  /^create firewall-drop-[46] hash:net family inet6? timeout 0 counters comment maxelem 131072$/,
  /^add firewall-drop-[46] A timeout 600$/,
  /^(?:test|del) firewall-drop-[46] A$/,
  /^(?:add|delete) element inet firewall_drop blocked(?:4_32|6_128) \{ A(?: timeout 600s)? \}$/,
];
const PROGRAMS = /^(?:ip6?tables-restore|ipset|nft)$/;

/** Addresses whose commands were checked. Commands depend on the address alone, and most inputs repeat an address. */
const checked = new Set<string>();
const MOST_REMEMBERED = 100_000;

/** Checks that all commands for an address match the grammar above, and name no other address. */
function checkCommands(address: Address): void {
  if (checked.has(address.text)) return;
  for (const { program, args, input } of commandsFor(address)) {
    must(PROGRAMS.test(program), `another program: ${program}`);
    // nft takes the lines of a transaction as an argument.
    const texts = args.filter((arg) => !ARGUMENTS.test(arg));
    must(texts.length === 0 || program === 'nft', `another argument: ${JSON.stringify(texts)}`);
    for (const line of [...texts, input].flatMap((text) => text.split('\n'))) {
      const shape = line.split(address.text).join('A');
      must(
        INPUT_LINES.some((known) => known.test(shape)),
        `another line: ${JSON.stringify(line)}`,
      );
    }
  }
  if (checked.size < MOST_REMEMBERED) checked.add(address.text);
}

const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}$/;
const IPV6 = /^(?=.*:)[0-9a-f:]{2,39}$/;

/** Checks an address that was parsed from `text`. */
export function checkAddress(address: Address, text: string): void {
  must(theirText(text) === address.text, `${JSON.stringify(text)} became ${address.text}`);
  must((address.family === 4 ? IPV4 : IPV6).test(address.text), `not plain: ${address.text}`);
  checkCommands(address);
}

const CONTROL = /[\p{Cc}\u2028\u2029]/u;
const NOON_MS = Date.UTC(2024, 4, 7, 12);
const FORMAT: LogFormat = {
  kind: 'both',
  home: '/var/ossec',
  name: 'firewall-drop',
  programName: 'firewall-drop.sh',
  zone: UTC,
  addressFields: [...DEFAULT_ADDRESS_FIELDS],
  wazuh5Fields: ['source.ip'],
};
const VERBS: readonly Verb[] = ['add', 'delete', 'kept', 'reapplied', 'failed', 'refused'];
const ALERT_RULES: Readonly<Partial<Record<Verb, readonly [number, number, number]>>> = {
  add: [601, 651, 601],
  delete: [602, 652, 602],
  // OSSEC's format has a separate verb for this. Wazuh's format reports what execd requested.
  reapplied: [600, 651, 607],
};

function bare(line: string): string {
  must(line.endsWith('\n'), 'a line without its end');
  const content = line.slice(0, -1);
  must(!CONTROL.test(content), `a control character in ${JSON.stringify(content)}`);
  return content;
}

function ossecLine(entry: Entry): string {
  return bare(linesOf([entry], null, { ...FORMAT, kind: 'ossec' }, NOON_MS).join(''));
}

/** Checks a request, and the commands and log lines for it. `message` is the text of the message, if there was one. */
export function checkRequest(request: Request, message: string | null = null): void {
  must(request.alertId === null || /^\d{1,20}\.\d{1,20}$/.test(request.alertId), 'an alert id');
  must(request.ruleId === null || /^\d{1,10}$/.test(request.ruleId), 'a rule id');
  must(!CONTROL.test(request.reason), 'a control character in the reason');
  must(!CONTROL.test(request.addressTrouble), 'a control character in the trouble');
  const seconds = request.timeoutSeconds ?? null;
  must(seconds === null || (seconds > 0 && seconds <= 2 ** 31), 'a timeout');
  const alertRef = {
    alertId: request.alertId ?? '1715083200.000000',
    ruleId: request.ruleId ?? '0',
  };
  must((request.address === null) === (request.addressTrouble !== ''), 'trouble without cause');
  if (request.address === null) {
    const line = ossecLine({ verb: 'refused', address: null, alertRef });
    must(ossecRule(line) === 600 && wazuhRule(line) === 607, `a refusal that is none: ${line}`);
    return;
  }
  const exchange = message === null ? null : exchangeAbout(message, request);
  for (const verb of verbsOf(request)) {
    checkLines({ verb, address: request.address, alertRef }, exchange);
  }
}

/** Returns the exchange with execd, which answers with the message and another command. */
function exchangeAbout(message: string, { action }: Request): Exchange {
  if (action === 'unblock') return { message, keyMessage: '', answer: null };
  const answer = { ...(parseJson(message) as object), command: 'continue' };
  return {
    message,
    keyMessage: '{}',
    answer: { command: 'continue', text: JSON.stringify(answer) },
  };
}

/** Returns the possible outcomes of a request. */
function verbsOf({ action }: Request): Verb[] {
  const others = action === 'block' ? ['delete', 'kept'] : ['add', 'reapplied'];
  return VERBS.filter((verb) => !others.includes(verb));
}

/** Checks that the log lines of an outcome are single lines, and raise alerts for this outcome only. */
export function checkLines(outcome: Outcome, exchange: Exchange | null): void {
  const { verb, address } = outcome;
  const [ours, message] = ALERT_RULES[verb] ?? [null, null];
  const line = ossecLine(outcome);
  must(ossecRule(line) === (ours ?? 600), `rule ${ossecRule(line) ?? 'none'} for ${line}`);
  must(
    wazuhRule(line) === (ALERT_RULES[verb]?.[2] ?? 607),
    `rule ${wazuhRule(line) ?? 'none'} for ${line}`,
  );
  must(line.split(' ').at(-3) === address.text, `another address in ${line}`);
  const raised = wazuhLines(outcome, exchange, FORMAT, NOON_MS).flatMap((each) => {
    const content = bare(each);
    must(ossecRule(content) === null && wazuhRule(content) === null, `an alert by ${content}`);
    return [wazuhMessageRule(content)].filter((rule) => rule !== null);
  });
  for (const [rule, named] of raised) {
    must(rule === message, `rule ${rule} for ${verb}`);
    must(
      named === null || theirText(named) === theirText(address.text),
      `rule ${rule} names ${named ?? ''}`,
    );
  }
}
