/** dynalite 4 ships no types; this is the part that the local stack calls. */
declare module 'dynalite' {
  import type { Server } from 'node:http';

  /** @returns a server that is not listening yet; its `close` also closes the database. */
  export default function dynalite(options: {
    /** Folder of the LevelDB store; in memory without it. */
    path?: string;
    createTableMs?: number;
    deleteTableMs?: number;
    updateTableMs?: number;
  }): Server;
}
