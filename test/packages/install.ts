/** Makes the packages as they would be published and installs them outside the checkout, as their users do. */
import { execFile } from 'node:child_process';
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import packageJson from '../../package.json' with { type: 'json' };

export const ROOT = join(import.meta.dirname, '../..');

const run = promisify(execFile);
const MAX_OUTPUT_BYTES = 50_000_000;

/** What a command came to. */
export interface Outcome {
  status: number;
  stdout: string;
  stderr: string;
}

/** Runs a command to its end; how it ends is for the caller to judge. @param file a program, or the path of a module that Node runs. */
export async function outcomeOf(
  file: string,
  args: readonly string[],
  { cwd, env = {}, node = process.execPath }: { cwd: string; env?: NodeJS.ProcessEnv; node?: string },
): Promise<Outcome> {
  const options = { cwd, env: { ...process.env, ...env }, maxBuffer: MAX_OUTPUT_BYTES };
  try {
    return { status: 0, ...(await run(node, [file, ...args], options)) };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { status: code, stdout, stderr };
  }
}

/** @throws with what the command wrote unless it ends well. */
export async function succeed(...command: Parameters<typeof outcomeOf>): Promise<string> {
  const { status, stdout, stderr } = await outcomeOf(...command);
  if (status !== 0) throw new Error(`${command[0]} ended with status ${status}:\n${stderr}\n${stdout}`);
  return stdout;
}

/** Runs npm: the one that runs this, or the one beside the system's Node. */
async function npm(args: readonly string[], cwd: string): Promise<void> {
  const script = process.env.npm_execpath;
  const [file, ...rest] = script === undefined ? ['npm', ...args] : [process.execPath, script, ...args];
  await run(file!, rest, { cwd, maxBuffer: MAX_OUTPUT_BYTES });
}

/** Makes all packages. @returns the path of each tarball, by the package's name. */
export async function pack(into: string): Promise<Record<string, string>> {
  await succeed(join(ROOT, 'scripts/pack.ts'), [into], { cwd: ROOT });
  const suffix = `-${packageJson.version}.tgz`;
  const tarballs = readdirSync(into).filter((name) => name.endsWith(suffix));
  return Object.fromEntries(tarballs.map((name) => [name.slice(0, -suffix.length), join(into, name)]));
}

/** Installs packages into a new project. Nothing that they bring is run by that. */
export async function install(folder: string, packages: readonly string[]): Promise<void> {
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    join(folder, 'package.json'),
    JSON.stringify({ name: 'user', version: '1.0.0', private: true }),
  );
  await npm(
    [
      'install',
      '--no-audit',
      '--no-fund',
      '--ignore-scripts',
      '--prefer-offline',
      '--loglevel=error',
      ...packages,
    ],
    folder,
  );
}

/** Lets a project use a development tool of the checkout, which is then not downloaded again. */
export function lend(folder: string, names: readonly string[]): void {
  for (const name of names) {
    const place = join(folder, 'node_modules', name);
    mkdirSync(join(place, '..'), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules', name), place, 'dir');
  }
}

/** The npm package that holds Node for this machine. */
export function nodePackage(): string {
  const suffix = `-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;
  const name = Object.keys(packageJson.optionalDependencies).find((each) => each.endsWith(suffix));
  if (name === undefined) throw new Error(`no package of Node is known for ${suffix.slice(1)}`);
  return name;
}
