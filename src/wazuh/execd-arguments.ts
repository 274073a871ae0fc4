// Parses the arguments of ossec-execd, and of wazuh-execd before 4.2, into a Request. Pure.
import { parseAddress } from '../model/address.ts';
import { AppError } from '../model/errors.ts';
import { readAlertId, readRuleId, type Request } from './request.ts';

/** Parses `add|delete USER IP ALERT_ID RULE_ID [LOCATION FILE]`. Throws `BAD_DATA` if the first argument is neither. */
export function readArguments(args: readonly string[]): Request {
  const [action, , ip = '', alertId, ruleId] = args;
  if (action !== 'add' && action !== 'delete') {
    throw new AppError('BAD_DATA', 'the first argument is neither add nor delete');
  }
  const address = parseAddress(ip);
  return {
    dialect: 'ossec',
    action: action === 'add' ? 'block' : 'unblock',
    address,
    addressTrouble: address === null ? 'the third argument is not a literal address' : '',
    addressProblem: "Cannot read 'srcip' from data",
    field: 'the third argument',
    passedOver: [],
    alertId: readAlertId(alertId),
    ruleId: readRuleId(ruleId),
    timeoutSeconds: undefined,
    reason: '',
    extraArguments: [],
    facts: { ruleId: readRuleId(ruleId), level: null, groups: [], agent: null, field: () => null },
  };
}
