/** What a test asks of the process that keeps a host alive, and what that answers: a line of JSON each. */

export interface RunOrder {
  readonly do: 'run';
  readonly argv: readonly string[];
  readonly argv0?: string;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Base64, for a real pipe as standard input; absent: /dev/null. */
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
  /** Octal, as chmod takes it: '0660'. */
  readonly mode?: string;
  readonly uid?: number;
  readonly gid?: number;
}

/** To open TCP connections to all of the targets at once, which are closed again. */
interface ConnectOrder {
  readonly do: 'connect';
  readonly targets: readonly ConnectTarget[];
  /** How long silence has to last to be one. */
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
  /** For each target `connected`, `silent`, or the code of the error. */
  readonly connections?: readonly string[];
  readonly error?: string;
}
