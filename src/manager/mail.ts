// Mail about alerts: whether what an ossec.conf asks for can ever be sent.
import { error, warning, type Diagnosis } from './diagnosis.ts';
import { checkLevel, HIGHEST_LEVEL, isLevel, type KnownRules } from './rules.ts';
import { quote } from '../system/printable.ts';
import { child, valueOf, type Element } from './xml.ts';

/** `elsewhere`: in files that are checked together with this one, and are reported there. */
type SectionsNamed = (name: string) => readonly Element[];

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

/** What analysisd takes where no file says (config.c: mailbylevel); the shipped ossec.conf says 12, OSSEC's 7. */
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
    const cause = `mail is on, and <global> has no <${name}>: no mail can be sent`;
    found.push(...error(notification, cause, `add <${name}>`));
  }
  if (firstMail !== undefined && !isOn) {
    const cause = 'these mails are never sent: email_notification is not yes';
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
    return error(mail, 'nobody gets these mails', 'add <email_to>');
  }
  const level = child(mail, 'level');
  if (level !== undefined && !isLevel(level.text, 0)) {
    const cause = `${quote(level.text)} is no level of an alert: these mails are never sent`;
    return error(level.textAt, cause, `write a number from 0 to ${HIGHEST_LEVEL}`);
  }
  const ids = child(mail, 'rule_id');
  if (ids !== undefined) return checkMailedRules(ids, level, { threshold, rules });
  if (level === undefined || Number(level.text) >= threshold) return [];
  const cause = `mail goes out from level ${threshold} on: alerts of level ${level.text} to ${threshold - 1} mail only where their rule has the option alert_by_email`;
  const fix = `write ${threshold} or more here, or lower <email_alert_level> in <alerts>`;
  return warning(level.textAt, cause, fix);
}

/** A rule mails when its level, or its option, says so, and the level asked for here is reached as well. */
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
    const cause = `mail goes out from level ${threshold} on, so these rules never mail: ${list(silent)}`;
    const fix =
      'raise them in local_rules.xml with overwrite="yes": firewall-drop config snippet prints how';
    found.push(...error(ids.textAt, cause, fix));
  }
  if (below.length > 0 && level !== undefined) {
    const cause = `these rules do not reach the level ${asked} that is asked for here, and never mail: ${list(below)}`;
    found.push(...error(level.textAt, cause, 'remove <level>, or raise the rules'));
  }
  if (muted.length > 0) {
    const cause = `the option no_email_alert keeps these rules from mailing: ${list(muted)}`;
    found.push(...error(ids.textAt, cause, 'remove the option from the rule'));
  }
  return found;
}
