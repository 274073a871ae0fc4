// Small values remembered by name, and written with the next transaction.
import { orElse } from '../model/errors.ts';
import type { Connection } from './connection.ts';

export class Metadata {
  readonly #connection: Connection;
  /** As this run found them; null before it asked. */
  #known: Map<string, string> | null = null;
  readonly #unwritten = new Map<string, string>();

  constructor(connection: Connection) {
    this.#connection = connection;
    connection.rider = {
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

  /** A value that was written as JSON; null when there is none or it can't be read. The shape is the writer's. */
  getJson(name: string): unknown {
    const text = this.get(name);
    // What was not written by us is found out anew.
    return text === null ? null : orElse<unknown>(null, () => JSON.parse(text));
  }

  /** Remembered with the next transaction, or at `flush`: one value alone is not worth waiting for the disk. */
  set(name: string, value: string): void {
    if (this.get(name) !== value) this.#unwritten.set(name, value);
  }

  /** For the holder of the writer lock: what was read while others could write may be old. */
  reload(): void {
    this.#known = null;
  }

  flush(): void {
    if (this.#connection.readOnly || this.#unwritten.size === 0) return;
    this.#connection.transaction(() => undefined);
  }

  /** All at once: there are few, and a run needs most of them. */
  #readAll(): Map<string, string> {
    const rows = this.#connection.query('SELECT name, value FROM facts');
    return new Map(rows.map((row) => [row['name'] as string, row['value'] as string]));
  }
}
