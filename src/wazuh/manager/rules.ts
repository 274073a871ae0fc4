// Rule files: which rules they define, with which level, and what is wrong with them.
import { diagnose, type Diagnosis } from './diagnosis.ts';
import type { Element, XmlDocument } from './xml.ts';

/** A rule's level by its id; a later definition replaces an earlier one. */
export type RuleLevels = ReadonlyMap<string, number>;

/** The rules about firewall-drop as shipped with OSSEC 4.2 and Wazuh 4.14, which no file here need repeat. */
export const SHIPPED_LEVELS: RuleLevels = new Map([
  ['601', 3],
  ['602', 3],
  ['651', 3],
  ['652', 3],
]);

const FIRST_LOCAL_RULE = 100_000;
const HIGHEST_LEVEL = 16;

export function rulesOf({ roots }: XmlDocument): readonly Element[] {
  return roots.flatMap((root) => {
    if (root.name === 'rule') return [root];
    return root.name === 'group' ? root.children.filter(({ name }) => name === 'rule') : [];
  });
}

export function levelsOf(document: XmlDocument): RuleLevels {
  return new Map(
    rulesOf(document).map(({ attributes }) => [
      attributes['id'] ?? '',
      Number(attributes['level'] ?? 0),
    ]),
  );
}

/** For a file of local rules: what analysisd would refuse or pass over. */
export function checkRules(document: XmlDocument): Diagnosis[] {
  const seen = new Map<string, Element>();
  return rulesOf(document).flatMap((rule) => {
    const id = rule.attributes['id'] ?? '';
    const earlier = seen.get(id);
    seen.set(id, rule);
    return [...checkIdentity(rule, id, earlier), ...checkLevel(rule)];
  });
}

function checkIdentity(rule: Element, id: string, earlier: Element | undefined): Diagnosis[] {
  if (!/^[0-9]{1,6}$/.test(id)) {
    return [diagnose('error', rule, 'a rule needs a numeric id', 'write <rule id="100100" …>')];
  }
  const overwrites = rule.attributes['overwrite'] === 'yes';
  if (earlier !== undefined && !overwrites) {
    const cause = `rule ${id} is defined in line ${earlier.line} already`;
    return [diagnose('error', rule, cause, 'give one of them another id')];
  }
  if (Number(id) < FIRST_LOCAL_RULE && !overwrites) {
    const cause = `ids below ${FIRST_LOCAL_RULE} are of the shipped rules: ${id} would be a duplicate`;
    const fix = 'add overwrite="yes" to change the shipped rule, or take an id from 100000 on';
    return [diagnose('error', rule, cause, fix)];
  }
  return [];
}

function checkLevel(rule: Element): Diagnosis[] {
  const level = rule.attributes['level'] ?? '';
  if (/^[0-9]{1,2}$/.test(level) && Number(level) <= HIGHEST_LEVEL) return [];
  return [
    diagnose(
      'error',
      rule,
      `a rule needs a level from 0 to ${HIGHEST_LEVEL}`,
      'write level="12", for example',
    ),
  ];
}
