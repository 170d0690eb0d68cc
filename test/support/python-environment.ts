/** Tools from PyPI, for checks that have none in npm: each set in a virtual environment of its own. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const CACHE = resolve(import.meta.dirname, '../../node_modules/.cache/python');

/**
 * Makes a virtual environment with the packages of a requirements file, unless there is one with exactly these. It
 * needs Python 3.10 or newer as `python3`, with venv and pip, and on the first run PyPI.
 *
 * @param requirements path of the file; every version in it is pinned, also of what a package depends on.
 * @returns the folder with the environment's programs.
 * @throws if Python or pip fails; what they printed is on standard error.
 */
export function pythonEnvironment(requirements: string): string {
  const name = createHash('sha256').update(readFileSync(requirements)).digest('hex').slice(0, 16);
  const folder = join(CACHE, name);
  const programs = join(folder, 'bin');
  const complete = join(folder, 'complete');
  if (existsSync(complete)) return programs;
  // One that was interrupted.
  rmSync(folder, { recursive: true, force: true });
  const run = (program: string, ...args: string[]) =>
    execFileSync(program, args, { stdio: ['ignore', process.stderr, 'inherit'] });
  run('python3', '-m', 'venv', folder);
  const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-deps'];
  run(join(programs, 'python'), ...pip, '--requirement', requirements);
  writeFileSync(complete, '');
  return programs;
}
