// Stores small values by name. Writes them with the next transaction.
import { orElse } from '../model/errors.ts';
import type { Connection } from './connection.ts';

export class Metadata {
  readonly #connection: Connection;
  /** The values as read by this run; null before the first read. */
  #known: Map<string, string> | null = null;
  readonly #unwritten = new Map<string, string>();

  constructor(connection: Connection) {
    this.#connection = connection;
    connection.deferred = {
      write: () => {
        for (const [name, value] of this.#unwritten) {
          connection.run('INSERT OR REPLACE INTO facts (name, value) VALUES (?, ?)', name, value);
        }
      },
      written: () => {
        for (const [name, value] of this.#unwritten) this.#known?.set(name, value);
        this.#unwritten.clear();
      },
    };
  }

  get(name: string): string | null {
    this.#known ??= this.#readAll();
    return this.#unwritten.get(name) ?? this.#known.get(name) ?? null;
  }

  /**
   * Returns a value that was stored as JSON; null if there is none or it is not JSON. The caller must know its type.
   */
  getJson(name: string): unknown {
    const text = this.get(name);
    // A value that this program did not write is determined again by the caller.
    return text === null ? null : orElse<unknown>(null, () => JSON.parse(text));
  }

  /**
   * Sets a value, which is written with the next transaction or by `flush`. One value alone is not worth waiting for
   * the disk.
   */
  set(name: string, value: string): void {
    if (this.get(name) !== value) this.#unwritten.set(name, value);
  }

  /** Drops the values read before the run got the writer lock, because they may be outdated. */
  reload(): void {
    this.#known = null;
  }

  flush(): void {
    if (this.#connection.readOnly || this.#unwritten.size === 0) return;
    this.#connection.transaction(() => undefined);
  }

  /** Reads all values at once, since there are few and a run needs most of them. */
  #readAll(): Map<string, string> {
    const rows = this.#connection.query('SELECT name, value FROM facts');
    return new Map(rows.map((row) => [row['name'] as string, row['value'] as string]));
  }
}
