// Where in an alert the offender's address is: the first of the configured fields that holds a literal address.
import { parseAddress, type Address } from '../model/address.ts';
import { at, type Json } from './json.ts';

export interface Source {
  /** Null when no field that may hold it holds a literal address. */
  readonly address: Address | null;
  /** The dotted path that held it; empty when none did. */
  readonly field: string;
  /** Fields that are there and hold something else, in the order tried. */
  readonly passedOver: readonly string[];
  /** Why there is no address, for people; empty when there is one. */
  readonly addressTrouble: string;
}

/**
 * Host names and `-` are passed over. Free text such as `full_log` is never searched: that is how a log line gets an
 * innocent address blocked.
 */
export function findSource(alert: Json | undefined, fields: readonly string[]): Source {
  const passedOver: string[] = [];
  for (const field of fields) {
    const value = at(alert, ...field.split('.'));
    const address = typeof value === 'string' ? parseAddress(value) : null;
    if (address !== null) return { address, field, passedOver, addressTrouble: '' };
    if (value !== undefined) passedOver.push(field);
  }
  const addressTrouble =
    passedOver.length > 0
      ? `no literal address in ${passedOver.join(', ')}`
      : `the alert has none of the fields ${fields.join(', ')}`;
  return { address: null, field: '', passedOver, addressTrouble };
}
