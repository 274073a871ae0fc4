// Reads rule files, and checks the rules that they define.
import { error, type Diagnosis } from './diagnosis.ts';
import { quote } from '../system/printable.ts';
import type { Element, XmlDocument } from './xml.ts';

/**
 * Rules by id; a later definition replaces an earlier one. `mails` is set by an option of the rule; null if the level
 * decides.
 */
export type KnownRules = ReadonlyMap<
  string,
  { readonly level: number; readonly mails: boolean | null }
>;

/** The rules about firewall-drop that OSSEC 4.2 and Wazuh 4.14 ship. The checked files need not define them. */
export const SHIPPED_RULES: KnownRules = new Map(
  ['601', '602', '651', '652'].map((id) => [id, { level: 3, mails: null }]),
);

/** The lowest id of a local rule. Lower ids belong to shipped rules. */
export const FIRST_LOCAL_RULE = 100_000;
export const HIGHEST_LEVEL = 16;

export function isLevel(text: string | undefined, lowest = 1): boolean {
  return /^[0-9]{1,2}$/.test(text ?? '') && Number(text) >= lowest && Number(text) <= HIGHEST_LEVEL;
}

export function checkLevel(level: Element | undefined): Diagnosis[] {
  if (level === undefined || isLevel(level.text)) return [];
  const cause = `${quote(level.text)} is not an alert level`;
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

/** Checks a file of local rules for rules that analysisd would reject or ignore. */
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
    const cause = `rule ${id} is already defined in line ${earlier.line}`;
    return error(rule, cause, 'change the id of one of them');
  }
  if (Number(id) < FIRST_LOCAL_RULE && !overwrites) {
    const cause = `ids below ${FIRST_LOCAL_RULE} belong to the shipped rules: ${id} would be a duplicate`;
    const fix = 'add overwrite="yes" to change the shipped rule, or use an id of 100000 or more';
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
