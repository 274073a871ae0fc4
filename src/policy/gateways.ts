// Next hops of this host's default routes: an alert reads /proc and what ip(8) said when there was time to ask it.
import { parseAddress, type Family } from '../model/address.ts';
import { defaultGateways, LIST_ROUTES, readPrintedRoutes, type Gateway } from '../system/net.ts';
import type { Inquiry } from './inquiry.ts';

const METADATA = 'gateways';
const TIMEOUT_MS = 3000;

/** /proc has neither the further hops of a multipath route nor IPv4's other tables. */
export function findGateways(inquiry: Inquiry, families: readonly Family[]): Gateway[] {
  if (inquiry.mayWait) askForRoutes(inquiry);
  return [...families.flatMap(defaultGateways), ...remembered(inquiry)];
}

/** Where ip(8) is missing, or prints no JSON (before 4.16), what was remembered stays. */
function askForRoutes({ store, run }: Inquiry): void {
  try {
    const { status, stdout } = run(LIST_ROUTES, TIMEOUT_MS);
    if (status !== 0) return;
    const hops = readPrintedRoutes(stdout).map(({ address, interfaceName }) => {
      return [address.text, interfaceName];
    });
    store.metadata.set(METADATA, JSON.stringify(hops));
  } catch {
    // Not installed, or another program of that name: /proc has the usual routes.
  }
}

function remembered({ store }: Inquiry): Gateway[] {
  const hops = (store.metadata.getJson(METADATA) ?? []) as readonly (readonly [string, string])[];
  return hops.flatMap(([text, interfaceName]) => {
    const address = parseAddress(text);
    return address === null ? [] : [{ address, interfaceName }];
  });
}
