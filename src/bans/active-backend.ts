// Determines the active backend, and opens the firewall.
import type { Config } from '../config/schema.ts';
import { createFirewall, type Firewall, type FirewallContext } from '../firewall/apply.ts';
import {
  chooseBackend,
  createBackend,
  setBackends,
  type BackendName,
  type Choice,
} from '../firewall/select.ts';
import { createSwitchableFirewall, type SwitchableFirewall } from '../firewall/switch.ts';
import type { Family } from '../model/address.ts';
import type { Store } from '../state/store.ts';
import { findProgram, run } from '../system/exec.ts';
import { isIpv6Absent } from '../system/net.ts';
import { sleep } from '../system/wait.ts';
import { ACTIVE_BACKEND, withPlaces } from './places.ts';

export function isInstalled(program: string): boolean {
  return findProgram(program) !== null;
}

export function chooseActive({ firewall }: Config, store: Store): Choice {
  return chooseBackend(firewall, {
    active: store.metadata.get(ACTIVE_BACKEND),
    hasBans: () => store.bans.count() > 0,
    isInstalled,
  });
}

/**
 * Returns the backend whose sets drop packets although no active backend is recorded, because the state was lost or
 * can't be read. It then becomes the active backend; otherwise its entries would stay blocked and no command would show
 * or unblock them. Returns null if there are no such sets, or if the state or the configuration names a backend.
 */
export function findActiveSets(
  { by, name }: Choice,
  store: Store,
  open: (name: BackendName) => Firewall,
): BackendName | null {
  if (store.metadata.get(ACTIVE_BACKEND) !== null || by !== 'auto') return null;
  return findOtherSets(name, open, isInstalled);
}

/** Returns a backend other than the active one whose sets drop packets; null if there is none. */
export function findOtherSets(
  active: string,
  open: (name: BackendName) => Firewall,
  isInstalledHere: (program: string) => boolean,
): BackendName | null {
  const others = setBackends(isInstalledHere).filter((name) => name !== active);
  return others.find((name) => dropsBySets(open(name))) ?? null;
}

function dropsBySets(backend: Firewall): boolean {
  const drops = (family: Family): boolean => {
    return backend.snapshot(family).rules.some(({ dropsSet }) => dropsSet !== undefined);
  };
  try {
    return backend.holdsOurSets() && ([4, 6] as const).some(drops);
  } catch {
    // A backend that can't be inspected holds nothing that we could unblock.
    return false;
  }
}

interface OpenOptions extends Pick<FirewallContext, 'deadline' | 'isWorkShared'> {
  readonly isShown: boolean;
}

/**
 * Opens the firewall of the active backend. With `isShown`, commands that show the kernel to a person also find sets of
 * a backend that no run could record.
 */
export function openFirewall(
  config: Config,
  store: Store,
  { deadline, isShown, isWorkShared }: OpenOptions,
): SwitchableFirewall {
  const open = (name: BackendName): Firewall => {
    return createFirewall({
      backend: createBackend(name, withPlaces(config.firewall, store, isInstalled)),
      run,
      sleep,
      deadline,
      isIpv6Absent,
      isWorkShared,
      programTimeoutSeconds: config.firewall.programTimeoutSeconds,
      extras: (family) => (store.metadata.getJson(`extras ${family}`) ?? []) as string[],
      noteExtras: (family, extras) => {
        store.metadata.set(`extras ${family}`, JSON.stringify(extras));
      },
    });
  };
  return createSwitchableFirewall(open, () => {
    const choice = chooseActive(config, store);
    return (isShown ? findActiveSets(choice, store, open) : null) ?? choice.name;
  });
}
