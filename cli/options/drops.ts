/** What is dropped into the bucket of a stack: files of this machine, and the keys that they get. */
import { createReadStream } from 'node:fs';
import { glob, stat } from 'node:fs/promises';
import { basename, join, relative, resolve, sep } from 'node:path';
import type { Readable } from 'node:stream';
import { OPTIONS_SUFFIX } from '../../src/contract/options.ts';
import { UsageError } from '../view/exit.ts';
import { listOf, type OpenStack, outputOf, stackText } from './stack.ts';

/** A file to drop. */
export interface Drop {
  /** Path, or `-` for standard input. */
  file: string;
  key: string;
  /** Bytes; `undefined` of standard input. */
  size: number | undefined;
  open(): Readable;
}

/** Standard input in place of a file. */
export const STDIN = '-';
/** What standard input is called where its name is to be the same each time. */
export const STDIN_NAME = 'stdin.jsonl';

/**
 * The files of files and folders, and their keys below a prefix. A file keeps its name; files of the same name, the folders
 * in which they differ; what is in a folder, its path below that.
 * @param stdinName what standard input is called.
 * @throws {UsageError} if there is no such file, or a folder has none.
 */
export async function dropsOf(paths: readonly string[], prefix: string, stdinName: string): Promise<Drop[]> {
  const files: { file: string; size: number }[] = [];
  const drops: Drop[] = [];
  for (const path of new Set(paths)) {
    if (path === STDIN) {
      drops.push({ file: STDIN, key: `${prefix}${stdinName}`, size: undefined, open: () => process.stdin });
      continue;
    }
    const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
      throw new UsageError(
        `${path}: ${error.code === 'ENOENT' ? 'there is no such file' : `cannot be read (${error.code})`}`,
      );
    });
    if (found.isDirectory()) drops.push(...(await dropsOfFolder(path, prefix)));
    else files.push({ file: path, size: found.size });
  }
  const names = namesOf(files.map(({ file }) => file));
  drops.push(...files.map(({ file, size }, index) => dropOf(file, `${prefix}${names[index]}`, size)));
  requireDifferentKeys(drops);
  // What says how a file is run must be there when the file is looked at.
  return [...drops.filter(isOptions), ...drops.filter((drop) => !isOptions(drop))];
}

/** Whether it lies beside a file and says how that is run, see `core/requests/sidecar.ts`. */
export function isOptions({ key }: Pick<Drop, 'key'>): boolean {
  return key.endsWith(OPTIONS_SUFFIX);
}

/** Hidden files and those of other tools stay: routes leave them out, too. */
async function dropsOfFolder(folder: string, prefix: string): Promise<Drop[]> {
  const drops: Drop[] = [];
  const entries = await Array.fromAsync(glob('**/*', { cwd: folder, withFileTypes: true }));
  for (const entry of entries) {
    const path = join(entry.parentPath, entry.name);
    const parts = relative(folder, path).split(sep);
    if (!entry.isFile() || parts.some((part) => /^[._]/.test(part))) continue;
    drops.push(dropOf(path, `${prefix}${parts.join('/')}`, (await stat(path)).size));
  }
  if (drops.length === 0) throw new UsageError(`${folder}: the folder holds no file that could be dropped`);
  return drops.sort((one, other) => (one.key < other.key ? -1 : 1));
}

const dropOf = (file: string, key: string, size: number): Drop => ({
  file,
  key,
  size,
  open: () => createReadStream(file, { highWaterMark: 1024 * 1024 }),
});

/** Their names; of those with the same name, the path from where their folders part. */
function namesOf(files: readonly string[]): string[] {
  const byName = Map.groupBy(files, (file) => basename(file));
  return files.map((file) => {
    const alike = byName.get(basename(file))!;
    if (alike.length === 1) return basename(file);
    const paths = alike.map((path) => resolve(path).split(sep));
    const shared = paths[0]!.findIndex((part, index) => paths.some((path) => path[index] !== part));
    return resolve(file).split(sep).slice(shared).join('/');
  });
}

/** @throws {UsageError} if two would be dropped under one key: the later one would take the place of the other. */
function requireDifferentKeys(drops: readonly Drop[]): void {
  for (const [key, alike] of Map.groupBy(drops, (drop) => drop.key))
    if (alike.length > 1)
      throw new UsageError(
        `${alike.map(({ file }) => file).join(' and ')} would both be dropped as ${key}: name one of them alone`,
      );
}

/**
 * What keys begin with for a route, or without one for every file.
 * @param route its name. Default: none, so the input prefix of the stack.
 * @throws {UsageError} if the stack has no such route.
 */
export function prefixFor(stack: Pick<OpenStack, 'name' | 'kind' | 'outputs'>, route?: string): string {
  if (route === undefined) {
    const location = outputOf(stack, 'DropLocation');
    return location.slice(`s3://${outputOf(stack, 'BucketName')}/`.length);
  }
  outputOf(stack, 'Routes');
  const routes = routesOf(stack);
  const prefix = routes.get(route);
  if (prefix !== undefined) return prefix;
  throw new UsageError(
    `--route ${route}: ${stackText(stack)} has the routes ${[...routes.keys()].join(', ')}`,
  );
}

/** Prefixes by the names of routes, as the stack's outputs say them. A version of before does not. */
export function routesOf({ outputs }: Pick<OpenStack, 'outputs'>): Map<string, string> {
  return new Map(listOf(outputs, 'Routes').map((text) => text.split('=', 2) as [string, string]));
}
