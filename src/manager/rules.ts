// Rule files: which rules they define, with which level, and what is wrong with them.
import { error, type Diagnosis } from './diagnosis.ts';
import { quote } from '../system/printable.ts';
import type { Element, XmlDocument } from './xml.ts';

/** By the rule's id; a later definition replaces an earlier one. `mails` is by an option of the rule; null: the level decides. */
export type KnownRules = ReadonlyMap<
  string,
  { readonly level: number; readonly mails: boolean | null }
>;

/** The rules about firewall-drop as shipped with OSSEC 4.2 and Wazuh 4.14, which no file here need repeat. */
export const SHIPPED_RULES: KnownRules = new Map(
  ['601', '602', '651', '652'].map((id) => [id, { level: 3, mails: null }]),
);

/** Below it are the shipped rules. */
export const FIRST_LOCAL_RULE = 100_000;
export const HIGHEST_LEVEL = 16;

export function isLevel(text: string | undefined, lowest = 1): boolean {
  return /^[0-9]{1,2}$/.test(text ?? '') && Number(text) >= lowest && Number(text) <= HIGHEST_LEVEL;
}

export function checkLevel(level: Element | undefined): Diagnosis[] {
  if (level === undefined || isLevel(level.text)) return [];
  const cause = `${quote(level.text)} is no level of an alert`;
  return error(level.textAt, cause, `write a number from 1 to ${HIGHEST_LEVEL}`);
}

export function rulesOf({ roots }: XmlDocument): readonly Element[] {
  return roots.flatMap((root) => {
    if (root.name === 'rule') return [root];
    return root.name === 'group' ? root.children.filter(({ name }) => name === 'rule') : [];
  });
}

export function knownRulesOf(document: XmlDocument): KnownRules {
  return new Map(
    rulesOf(document).map((rule) => [
      rule.attributes['id'] ?? '',
      { level: Number(rule.attributes['level'] ?? 0), mails: mailOption(rule) },
    ]),
  );
}

function mailOption({ children }: Element): boolean | null {
  const options = children.filter(({ name }) => name === 'options').map(({ text }) => text);
  if (options.includes('no_email_alert')) return false;
  return options.includes('alert_by_email') ? true : null;
}

/** For a file of local rules: what analysisd would refuse or pass over. */
export function checkRules(document: XmlDocument): Diagnosis[] {
  const seen = new Map<string, Element>();
  return rulesOf(document).flatMap((rule) => {
    const id = rule.attributes['id'] ?? '';
    const earlier = seen.get(id);
    seen.set(id, rule);
    return [...checkIdentity(rule, id, earlier), ...checkRuleLevel(rule)];
  });
}

function checkIdentity(rule: Element, id: string, earlier: Element | undefined): Diagnosis[] {
  if (!/^[0-9]{1,6}$/.test(id)) {
    return error(rule, 'a rule needs a numeric id', 'write <rule id="100100" …>');
  }
  const overwrites = rule.attributes['overwrite'] === 'yes';
  if (earlier !== undefined && !overwrites) {
    const cause = `rule ${id} is defined in line ${earlier.line} already`;
    return error(rule, cause, 'give one of them another id');
  }
  if (Number(id) < FIRST_LOCAL_RULE && !overwrites) {
    const cause = `ids below ${FIRST_LOCAL_RULE} are of the shipped rules: ${id} would be a duplicate`;
    const fix = 'add overwrite="yes" to change the shipped rule, or take an id from 100000 on';
    return error(rule, cause, fix);
  }
  return [];
}

function checkRuleLevel(rule: Element): Diagnosis[] {
  const level = rule.attributes['level'] ?? '';
  if (isLevel(level, 0)) return [];
  const cause = `a rule needs a level from 0 to ${HIGHEST_LEVEL}`;
  return error(rule, cause, 'write level="12", for example');
}
