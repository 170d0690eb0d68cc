/** Runs scripts of the repository as a person does, in processes of their own. */
import { execFile } from 'node:child_process';
import { join, resolve } from 'node:path';

const ROOT = resolve(import.meta.dirname, '../..');

/** How a process ended: its exit code (-1 if a signal ended it), and what it wrote. */
export interface Finished {
  status: number;
  stdout: string;
  stderr: string;
}

/** Runs a script, given by its path from the root of the repository; `env` is added to the environment. */
export function runScript(
  script: string,
  parameters: readonly string[],
  env: Record<string, string> = {},
): Promise<Finished> {
  // A key or a base URL of the person who runs the tests must not reach the pipeline.
  const { OPENAI_API_KEY: _, OPENAI_BASE_URL: __, ...inherited } = process.env;
  return new Promise((done) => {
    const options = { cwd: ROOT, env: { ...inherited, ...env }, maxBuffer: 64_000_000 };
    execFile(process.execPath, [join(ROOT, script), ...parameters], options, (error, stdout, stderr) =>
      done({ status: typeof error?.code === 'number' ? error.code : error ? -1 : 0, stdout, stderr }),
    );
  });
}

/** Runs the command line. */
export const batchdrop = (...parameters: string[]): Promise<Finished> => runScript('cli/main.ts', parameters);
