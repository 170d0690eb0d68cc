import type { Bucket, Version } from './records.ts';

/** What a page of a listing is asked to hold. */
export interface PageRequest {
  readonly prefix: string;
  /** Empty for none. */
  readonly delimiter: string;
  /** Key or common prefix that the page comes after; empty for the first page. */
  readonly after: string;
  readonly maxKeys: number;
}

export interface VersionEntry {
  readonly key: string;
  readonly version: Version;
  readonly isLatest: boolean;
}

export interface Page<Entry> {
  readonly entries: readonly Entry[];
  readonly commonPrefixes: readonly string[];
  readonly isTruncated: boolean;
  /** Key or common prefix that came last, to continue after. */
  readonly last: string;
}

/** Lists the current objects of a bucket, one page in key order; deleted keys are passed over. */
export function listObjects(bucket: Bucket, request: PageRequest): Page<VersionEntry> {
  return listPage(bucket, request, (key) =>
    key === request.after ? [] : versionsOf(bucket, key).filter(isCurrentObject),
  );
}

/**
 * Lists all versions and delete markers, one page in key order, newest first within a key.
 *
 * @param afterVersionId version of the key `after` that the page comes after; undefined if the whole key was listed
 */
export function listVersions(
  bucket: Bucket,
  request: PageRequest,
  afterVersionId: string | undefined,
): Page<VersionEntry> {
  return listPage(bucket, request, (key) => {
    const versions = versionsOf(bucket, key);
    if (key !== request.after) return versions;
    return afterVersionId === undefined ? [] : olderThan(versions, afterVersionId);
  });
}

function versionsOf(bucket: Bucket, key: string): VersionEntry[] {
  return (bucket.versions.get(key) ?? []).map((version, index) => ({ key, version, isLatest: index === 0 }));
}

function isCurrentObject({ version, isLatest }: VersionEntry): boolean {
  return isLatest && version.kind === 'object';
}

/** Clients delete a page and ask for the next one: the version to continue after may be gone, but ids sort by age. */
function olderThan(entries: VersionEntry[], versionId: string): VersionEntry[] {
  const index = entries.findIndex(({ version }) => version.versionId === versionId);
  if (index >= 0) return entries.slice(index + 1);
  // The age of a removed `null` version is not known: what is left of the key is listed, at worst again.
  if (versionId === 'null') return entries;
  return entries.filter(({ version }) => version.sequencer < versionId.slice(0, version.sequencer.length));
}

function listPage(
  bucket: Bucket,
  { prefix, delimiter, after, maxKeys }: PageRequest,
  entriesOf: (key: string) => VersionEntry[],
): Page<VersionEntry> {
  const entries: VersionEntry[] = [];
  const commonPrefixes: string[] = [];
  let last = '';
  const { keys } = bucket;
  let index = Math.max(keys.indexFrom(prefix), after === '' ? 0 : keys.indexFrom(after));
  for (let key = keys.at(index); key?.startsWith(prefix); key = keys.at(index)) {
    const commonPrefix = commonPrefixOf(key, prefix, delimiter);
    const found = entriesOf(key);
    const isListedBefore = commonPrefix !== undefined && commonPrefix === after;
    if (found.length === 0 && !isListedBefore) {
      index++;
      continue;
    }
    if (commonPrefix === undefined) {
      for (const entry of found) {
        if (entries.length + commonPrefixes.length >= maxKeys) {
          return { entries, commonPrefixes, isTruncated: maxKeys > 0, last };
        }
        entries.push(entry);
        last = key;
      }
      index++;
      continue;
    }
    if (!isListedBefore) {
      if (entries.length + commonPrefixes.length >= maxKeys) {
        return { entries, commonPrefixes, isTruncated: maxKeys > 0, last };
      }
      commonPrefixes.push(commonPrefix);
      last = commonPrefix;
    }
    index = keys.indexPast(commonPrefix, index);
  }
  return { entries, commonPrefixes, isTruncated: false, last };
}

function commonPrefixOf(key: string, prefix: string, delimiter: string): string | undefined {
  if (delimiter === '') return undefined;
  const at = key.indexOf(delimiter, prefix.length);
  return at < 0 ? undefined : key.slice(0, at + delimiter.length);
}
