// Finds the offender's address in an alert: the first of the configured fields that holds a literal address.
import { parseAddress, type Address } from '../model/address.ts';
import { at, type Json } from './json.ts';

export interface Source {
  /** null if none of the fields holds a literal address. */
  readonly address: Address | null;
  /** The dotted path of the field that holds the address; empty if none does. */
  readonly field: string;
  /** The fields that exist and hold something else, in the order tried. */
  readonly passedOver: readonly string[];
  /** The reason for a missing address, for people; empty if there is an address. */
  readonly addressTrouble: string;
}

/**
 * Skips fields that hold a host name or `-`. Free text such as `full_log` is never searched, because an attacker who
 * can write to a log could then have any address blocked.
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
