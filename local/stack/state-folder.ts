/** The folder that holds all state of a local stack. */
import { randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

export interface StateFolder {
  /** Made in the first run, the same in every later one. */
  id: string;
  /** Path of something in the folder. */
  path(...parts: string[]): string;
  /** Lets another stack use it. */
  release(): void;
}

/**
 * Takes the folder for this process and empties its `tmp`.
 *
 * @throws when another running stack has it
 */
export function openStateFolder(folder: string): StateFolder {
  mkdirSync(folder, { recursive: true });
  const release = lock(folder);
  rmSync(join(folder, 'tmp'), { recursive: true, force: true });
  return { id: persistentId(join(folder, 'stack-id')), path: (...parts) => join(folder, ...parts), release };
}

/** SQLite's file lock: the system frees it when the process dies, however it dies. */
function lock(folder: string): () => void {
  const database = new DatabaseSync(join(folder, 'lock'));
  try {
    database.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    throw new Error(
      `${folder} is in use by another local stack. Stop that one, or give this one another folder.`,
      { cause: error },
    );
  }
  return () => database.close();
}

function persistentId(file: string): string {
  try {
    writeFileSync(file, randomUUID(), { flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  return readFileSync(file, 'utf8');
}
