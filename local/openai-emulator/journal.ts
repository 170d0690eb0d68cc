import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { openAppendFile } from './append-file.ts';

/**
 * The emulator's memory across restarts: `journal.jsonl`, one JSON array of entries per line. The entries of one line
 * belong together: a line torn by a kill is dropped whole, and everything is as it was before it.
 */
export type Journal<Entry> = {
  /**
   * Adds entries as one unit, before the effect they describe is shown to a client.
   * @throws the file system's error; the journal is then as it was before
   */
  append(...entries: Entry[]): void;
  close(): void;
};

/**
 * Opens a journal, gives what it holds to `replay` oldest first, and rewrites it as what `compacted` returns.
 * @param path the file; made when absent
 * @throws an error naming the line when a line other than the last is damaged
 */
export function openJournal<Entry>(
  path: string,
  replay: (entry: Entry) => void,
  compacted: () => Entry[],
): Journal<Entry> {
  if (existsSync(path)) {
    const lines = readFileSync(path, 'utf8').split('\n');
    for (const [index, line] of lines.entries()) {
      if (line === '') continue;
      // The text after the last LF was never finished.
      if (index === lines.length - 1) break;
      for (const entry of parseEntries<Entry>(path, index + 1, line)) replay(entry);
    }
  }
  writeFileSync(
    `${path}.tmp`,
    compacted()
      .map((entry) => `${JSON.stringify([entry])}\n`)
      .join(''),
  );
  renameSync(`${path}.tmp`, path);
  const file = openAppendFile(path);
  return {
    append: (...entries) => file.append(`${JSON.stringify(entries)}\n`),
    close: file.close,
  };
}

function parseEntries<Entry>(path: string, line: number, text: string): Entry[] {
  try {
    return JSON.parse(text) as Entry[];
  } catch (cause) {
    throw new Error(
      `${path}:${line}: expected a JSON array of journal entries; remove the folder to start with an empty one`,
      {
        cause,
      },
    );
  }
}
