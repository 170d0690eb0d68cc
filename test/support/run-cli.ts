import { execFile } from 'node:child_process';
import { join, resolve } from 'node:path';

const ROOT = resolve(import.meta.dirname, '../..');

export interface Finished {
  status: number;
  stdout: string;
  stderr: string;
}

/** Runs the command line as a person does. */
export function batchdrop(...parameters: string[]): Promise<Finished> {
  return new Promise((done) => {
    execFile(
      process.execPath,
      [join(ROOT, 'cli/main.ts'), ...parameters],
      { cwd: ROOT },
      (error, stdout, stderr) =>
        done({ status: typeof error?.code === 'number' ? error.code : error ? -1 : 0, stdout, stderr }),
    );
  });
}
