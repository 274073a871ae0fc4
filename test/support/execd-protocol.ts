/** What the execd stand-in and the test that drives it tell each other, one JSON line each. */
import type { JsonObject } from './alerts.ts';

export type Mode = 'wazuh4' | 'wazuh5' | 'ossec';

export type Order =
  | {
      readonly do: 'alert';
      readonly id: number;
      readonly name: string;
      readonly timeoutSeconds: number;
      /** A Wazuh message, or OSSEC's arguments after the action. */
      readonly message: JsonObject | readonly string[];
    }
  /** An alert of before the test: the address is on the timeout list, and nothing is run. */
  | {
      readonly do: 'know';
      readonly address: string;
      readonly name: string;
      readonly timeoutSeconds: number;
      readonly message: JsonObject;
    }
  | { readonly do: 'list'; readonly id: number }
  /** The time of all on the timeout list is over. */
  | { readonly do: 'expire' };

interface Run {
  readonly key: string;
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly durationMs: number;
}

export interface AddReport extends Run {
  readonly report: 'add';
  readonly id: number;
  /** What the program wrote first, with its line end; empty if it wrote nothing. */
  readonly keyLine: string;
  readonly keyLineAfterMs: number;
  /** `none`: nothing was asked (no key line, or OSSEC); `skipped`: OSSEC did not even start it. */
  readonly answer: 'continue' | 'abort' | 'none' | 'skipped';
}

export interface DeleteReport extends Run {
  readonly report: 'delete';
  /** From the alert that last set the clock. */
  readonly ageMs: number;
}

export type Report =
  | { readonly report: 'ready' }
  /** The program runs, not yet waited for. */
  | { readonly report: 'started'; readonly key: string; readonly pid: number }
  | AddReport
  | DeleteReport
  | { readonly report: 'list'; readonly id: number; readonly keys: readonly string[] };
