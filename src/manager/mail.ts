// Checks whether the mail that an ossec.conf configures can ever be sent.
import { error, warning, type Diagnosis } from './diagnosis.ts';
import { checkLevel, HIGHEST_LEVEL, isLevel, type KnownRules } from './rules.ts';
import { quote } from '../system/printable.ts';
import { child, valueOf, type Element } from './xml.ts';

/** Returns the sections with a name. */
type SectionsNamed = (name: string) => readonly Element[];

/** Checks the mail settings. `elsewhere` returns the sections of other files, which are not reported here. */
export function checkMail(
  named: SectionsNamed,
  elsewhere: SectionsNamed,
  rules: KnownRules,
): Diagnosis[] {
  const alerts = named('alerts');
  const mails = named('email_alerts');
  const level = lastOf([...elsewhere('alerts'), ...alerts], 'email_alert_level');
  const threshold = isLevel(level?.text) ? Number(level?.text) : UNSET_MAIL_LEVEL;
  return [
    ...checkGlobal(named('global'), elsewhere('global'), mails),
    ...alerts.flatMap(checkAlertLevels),
    ...mails.flatMap((mail) => checkMailAlert(mail, threshold, rules)),
  ];
}

/** The default of analysisd (config.c: mailbylevel). The shipped ossec.conf of Wazuh sets 12, that of OSSEC 7. */
const UNSET_MAIL_LEVEL = 7;

function lastOf(sections: readonly Element[], name: string): Element | undefined {
  return sections.flatMap(({ children }) => children).findLast((one) => one.name === name);
}

function checkGlobal(
  own: readonly Element[],
  others: readonly Element[],
  [firstMail]: readonly Element[],
): Diagnosis[] {
  const last = (name: string): Element | undefined => lastOf([...others, ...own], name);
  const notification = lastOf(own, 'email_notification');
  const isOn = last('email_notification')?.text === 'yes';
  const found: Diagnosis[] = [];
  for (const name of isOn ? ['email_to', 'smtp_server', 'email_from'] : []) {
    if ((last(name)?.text ?? '') !== '' || notification === undefined) continue;
    const cause = `mail is enabled, but <global> has no <${name}>: no mail can be sent`;
    found.push(...error(notification, cause, `add <${name}>`));
  }
  if (firstMail !== undefined && !isOn) {
    const cause = 'no mail is sent, because email_notification is not yes';
    const fix = 'write <email_notification>yes</email_notification> in <global>';
    found.push(...error(notification ?? firstMail, cause, fix));
  }
  return found;
}

function checkAlertLevels({ children }: Element): Diagnosis[] {
  const named = ['email_alert_level', 'log_alert_level'];
  return children.filter(({ name }) => named.includes(name)).flatMap(checkLevel);
}

function checkMailAlert(mail: Element, threshold: number, rules: KnownRules): Diagnosis[] {
  if (valueOf(mail, 'email_to') === '') {
    return error(mail, 'this <email_alerts> has no recipient', 'add <email_to>');
  }
  const level = child(mail, 'level');
  if (level !== undefined && !isLevel(level.text, 0)) {
    const cause = `${quote(level.text)} is not an alert level: no such mail is sent`;
    return error(level.textAt, cause, `write a number from 0 to ${HIGHEST_LEVEL}`);
  }
  const ids = child(mail, 'rule_id');
  if (ids !== undefined) return checkMailedRules(ids, level, { threshold, rules });
  if (level === undefined || Number(level.text) >= threshold) return [];
  const cause = `mail is sent from level ${threshold} upwards: alerts of level ${level.text} to ${threshold - 1} send mail only if their rule has the option alert_by_email`;
  const fix = `write ${threshold} or more here, or lower <email_alert_level> in <alerts>`;
  return warning(level.textAt, cause, fix);
}

/**
 * Checks the rules named in a mail alert. A rule sends mail if its level or option allows it and it reaches <level>.
 */
function checkMailedRules(
  ids: Element,
  level: Element | undefined,
  { threshold, rules }: { readonly threshold: number; readonly rules: KnownRules },
): Diagnosis[] {
  const asked = Number(level?.text ?? 0);
  const known = ids.text.split(/[\s,|]+/).flatMap((id) => {
    const rule = rules.get(id);
    return rule === undefined ? [] : [{ id, ...rule }];
  });
  const list = (ones: typeof known): string => {
    return ones.map((rule) => `${rule.id} (level ${rule.level})`).join(', ');
  };
  const muted = known.filter(({ mails }) => mails === false);
  const silent = known.filter((rule) => rule.mails === null && rule.level < threshold);
  const below = known.filter((rule) => {
    return rule.level < asked && !muted.includes(rule) && !silent.includes(rule);
  });
  const found: Diagnosis[] = [];
  if (silent.length > 0) {
    const cause = `mail is sent from level ${threshold} upwards, so these rules never send mail: ${list(silent)}`;
    const fix =
      'raise their level in local_rules.xml with overwrite="yes", as firewall-drop config snippet --mail prints it';
    found.push(...error(ids.textAt, cause, fix));
  }
  if (below.length > 0 && level !== undefined) {
    const cause = `these rules are below level ${asked} and never send mail: ${list(below)}`;
    found.push(...error(level.textAt, cause, 'remove <level>, or raise the rules'));
  }
  if (muted.length > 0) {
    const cause = `these rules have the option no_email_alert and never send mail: ${list(muted)}`;
    found.push(...error(ids.textAt, cause, 'remove the option from the rule'));
  }
  return found;
}
