/** The orders of a test to the process that keeps a host alive, and its replies, one JSON line each. */

export interface RunOrder {
  readonly do: 'run';
  readonly argv: readonly string[];
  readonly argv0?: string;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Base64 of the input, which is sent through a real pipe. If absent, standard input is /dev/null. */
  readonly input?: string;
  readonly timeoutMs: number;
}

export interface RunResult {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface FileOptions {
  /** An octal number as for chmod, such as '0660'. */
  readonly mode?: string;
  readonly uid?: number;
  readonly gid?: number;
}

/** Opens TCP connections to all targets at once, and closes them again. */
interface ConnectOrder {
  readonly do: 'connect';
  readonly targets: readonly ConnectTarget[];
  /** The time without an answer after which a target counts as silent. */
  readonly timeoutMs: number;
}

export interface ConnectTarget {
  readonly address: string;
  readonly port: number;
  readonly sourceAddress?: string;
}

export type Order =
  | RunOrder
  | ConnectOrder
  | ({ readonly do: 'write'; readonly path: string; readonly base64: string } & FileOptions)
  | ({ readonly do: 'mkdir'; readonly paths: readonly string[] } & FileOptions)
  | { readonly do: 'read' | 'exists'; readonly path: string }
  | { readonly do: 'link'; readonly target: string; readonly path: string }
  | { readonly do: 'remove'; readonly paths: readonly string[] };

export interface Reply {
  readonly result?: RunResult;
  readonly text?: string;
  readonly exists?: boolean;
  /** `connected`, `silent`, or an error code for each target. */
  readonly connections?: readonly string[];
  readonly error?: string;
}
