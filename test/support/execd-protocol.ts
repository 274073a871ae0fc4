/** The messages between the execd stand-in and the test that drives it, one JSON line each. */
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
  /** Puts an address on the timeout list as if an earlier alert had done so, without running the program. */
  | {
      readonly do: 'know';
      readonly address: string;
      readonly name: string;
      readonly timeoutSeconds: number;
      readonly message: JsonObject;
    }
  | { readonly do: 'list'; readonly id: number }
  /** Makes all entries of the timeout list expire. */
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
  /** The program's first line, with its line feed; empty if it wrote nothing. */
  readonly keyLine: string;
  readonly keyLineAfterMs: number;
  /** `none` if the program sent no key query (always with OSSEC), `skipped` if OSSEC did not start the program. */
  readonly answer: 'continue' | 'abort' | 'none' | 'skipped';
}

export interface DeleteReport extends Run {
  readonly report: 'delete';
  /** The time since the alert that last set the timeout. */
  readonly ageMs: number;
}

export type Report =
  | { readonly report: 'ready' }
  /** The program has been started. */
  | { readonly report: 'started'; readonly key: string; readonly pid: number }
  | AddReport
  | DeleteReport
  | { readonly report: 'list'; readonly id: number; readonly keys: readonly string[] };
