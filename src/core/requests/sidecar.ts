/**
 * `<key>.options.json`, the object beside a dropped file that says how it is to be run. A file's own is the one that
 * lay there when the file was put: what was put, changed or removed later belongs to the next file.
 */
import { OPTIONS_SUFFIX } from '../../contract/options.ts';
import { defined } from '../base/defined.ts';
import { ObjectGoneError } from '../base/errors.ts';
import { MAX_KEY_BYTES } from '../files/keys.ts';
import type { KeyVersion, ListCursor, ObjectHead, SourceObject } from '../model/objects.ts';
import type { Inputs, ObjectStore } from '../ports/objects.ts';

/** What it takes to look beside a file. */
export interface SidecarDeps {
  objects: Pick<ObjectStore, 'head' | 'read'>;
  inputs: Pick<Inputs, 'listKey'>;
}

/** More than any options need. */
export const MAX_OPTIONS_BYTES = 10_000;

/** Where the options of a file lie; `undefined` if S3 allows no key as long. */
export function sidecarKeyOf(inputKey: string): string | undefined {
  const key = inputKey + OPTIONS_SUFFIX;
  return Buffer.byteLength(key) > MAX_KEY_BYTES ? undefined : key;
}

/**
 * The options that lay beside a file when it was put: not those put in a later second (S3 reports time in seconds).
 * @returns at most {@link MAX_OPTIONS_BYTES} and one more byte; `undefined` if there were none.
 * @throws {ObjectGoneError} if they have been removed for good since they were found.
 */
export async function readSidecar(deps: SidecarDeps, input: ObjectHead): Promise<Uint8Array | undefined> {
  const key = sidecarKeyOf(input.key);
  if (key === undefined) return undefined;
  const found = await findSidecar(deps, input, key);
  if (found === undefined) return undefined;
  const chunks: Uint8Array[] = [];
  for await (const chunk of await deps.objects.read(found, 0, MAX_OPTIONS_BYTES + 1))
    chunks.push(new Uint8Array(chunk));
  return Buffer.concat(chunks);
}

/** A sidecar that is newer than the file, so that it is not the file's own; `undefined` if there is none. */
export async function findLateSidecar(
  objects: Pick<ObjectStore, 'head'>,
  input: ObjectHead,
): Promise<ObjectHead | undefined> {
  const key = sidecarKeyOf(input.key);
  if (key === undefined) return undefined;
  const now = await objects.head(input.bucket, key);
  return now !== undefined && now.lastModified > input.lastModified ? now : undefined;
}

/**
 * Options under a name that is nearly right: `a.options.json` beside `a.jsonl`, where no file `a` has them.
 * @returns its key; `undefined` if there are none, or none that lay there when the file was put.
 */
export async function findMisnamedSidecar(
  objects: Pick<ObjectStore, 'head'>,
  input: ObjectHead,
): Promise<string | undefined> {
  const base = input.key.replace(/\.jsonl?(\.gz)?$/i, '');
  if (base === input.key || base.endsWith('/')) return undefined;
  const found = await objects.head(input.bucket, base + OPTIONS_SUFFIX);
  if (found === undefined || found.lastModified > input.lastModified) return undefined;
  return (await objects.head(input.bucket, base)) === undefined ? found.key : undefined;
}

/** Without versioning, what lies there now is all that can be known. */
async function findSidecar(
  deps: SidecarDeps,
  input: ObjectHead,
  key: string,
): Promise<SourceObject | undefined> {
  if (input.versionId !== undefined) {
    const own = await findOwnSidecar(deps, input, key);
    return own === undefined ? undefined : readable(own);
  }
  const now = await deps.objects.head(input.bucket, key);
  return now === undefined || now.lastModified > input.lastModified ? undefined : sourceOf(now);
}

/**
 * What lay beside a file when it was put: the newest that is not of a later second. Also without versioning,
 * from a listing: at most what lies there now.
 */
export async function findOwnSidecar(
  deps: Pick<SidecarDeps, 'inputs'>,
  input: ObjectHead,
  key: string,
): Promise<KeyVersion | undefined> {
  let after: ListCursor | undefined;
  do {
    const page = await deps.inputs.listKey(key, after);
    const own = page.versions.find(({ lastModified }) => lastModified <= input.lastModified);
    if (own !== undefined) return own.isDeleteMarker ? undefined : own;
    after = page.next;
  } while (after !== undefined);
  return undefined;
}

/** A version from before the bucket had versioning can be asked for only while it is the latest. */
function readable(version: KeyVersion): SourceObject {
  if (version.versionId === undefined && !version.isLatest)
    throw new ObjectGoneError(
      `s3://${version.bucket}/${version.key} was put before the bucket had versioning, and has been replaced since`,
    );
  return sourceOf(version);
}

function sourceOf({ bucket, key, versionId }: ObjectHead): SourceObject {
  return defined({ bucket, key, versionId });
}
