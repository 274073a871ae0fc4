// A firewall that can change its backend during a run, and that uses two backends during a migration.
import { step } from '../system/fault.ts';
import type { ApplyOptions, ApplyResult, Firewall } from './apply.ts';
import type { Change } from './backend.ts';
import type { Comparison } from './look.ts';
import type { BackendName } from './select.ts';

export interface SwitchableFirewall extends Firewall {
  /** Returns the firewall of one backend, active or not. */
  of(name: BackendName): Firewall;
  /**
   * Makes `name` the active backend, in the places that the state has now. During a pending migration, `other` may hold
   * some of the bans too: releases then go to both backends, and neither is assumed to match the state.
   */
  use(name: BackendName, other: BackendName | null): void;
}

/** Creates a firewall that calls `first` for the active backend if none was set with `use` before it is needed. */
export function createSwitchableFirewall(
  open: (name: BackendName) => Firewall,
  first: () => BackendName,
): SwitchableFirewall {
  let opened: Firewall | null = null;
  const current = (): Firewall => (opened ??= open(first()));
  let other: Firewall | null = null;
  return {
    get backendName() {
      return current().backendName;
    },
    get mostReleases() {
      return Math.min(current().mostReleases, other?.mostReleases ?? Infinity);
    },
    apply: (changes, options) => {
      return other === null
        ? current().apply(changes, options)
        : applyToBoth(current(), other, changes, options);
    },
    compare: (changes) => {
      return other === null ? current().compare(changes) : compareBoth(current(), other, changes);
    },
    plan: (changes) => current().plan(changes),
    snapshot: (family) => current().snapshot(family),
    checkUsable: () => {
      current().checkUsable();
    },
    holdsOurSets: () => current().holdsOurSets(),
    removeAll: (releases) => {
      current().removeAll(releases);
      other?.removeAll(releases);
    },
    of: open,
    use(name, next) {
      opened = open(name);
      other = next === null ? null : open(next);
    },
  };
}

function applyToBoth(
  current: Firewall,
  other: Firewall,
  changes: readonly Change[],
  options: ApplyOptions,
): ApplyResult {
  const result = current.apply(changes, { ...options, trustState: false });
  step('migrate: active backend changed');
  const { outcome } = other.apply(releasesIn(changes), { ...options, trustState: false });
  return outcome === 'changed' ? { ...result, outcome } : result;
}

function compareBoth(current: Firewall, other: Firewall, changes: readonly Change[]): Comparison {
  const comparison = current.compare(changes);
  const missing = [...comparison.missing, ...other.compare(releasesIn(changes)).missing];
  return { ...comparison, missing: [...new Set(missing)] };
}

function releasesIn(changes: readonly Change[]): Change[] {
  return changes.filter(({ to }) => to === 'released');
}
