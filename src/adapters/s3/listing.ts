/** What S3's listings of versions say, in the domain's words. */
import type { DeleteMarkerEntry, ListObjectVersionsCommandOutput } from '@aws-sdk/client-s3';
import type { KeyVersion } from '../../core/model/objects.ts';

/** Without versioning, or while it is suspended, S3 calls the version that the next write replaces "null". */
export function versionOf(versionId: string | undefined): { versionId?: string } {
  return versionId === undefined || versionId === 'null' ? {} : { versionId };
}

/** Source: S3 API reference, ListObjectVersions, `encoding-type` (as forms are encoded: a blank may be a plus). */
export function decodeKey(encoded = ''): string {
  return decodeURIComponent(encoded.replaceAll('+', ' '));
}

/** HeadObject reports whole seconds, and job ids are derived from what it reports. */
export function wholeSeconds(time: Date | undefined): number {
  return Math.floor((time?.getTime() ?? 0) / 1000) * 1000;
}

/**
 * The entries of one key, newest first. The SDK gives objects and delete markers in two lists, each in S3's order
 * (newest first; S3 API reference, ListObjectVersions), so that only `IsLatest` orders one of each within a
 * second.
 */
export function keyVersionsOf(
  page: Pick<ListObjectVersionsCommandOutput, 'Versions' | 'DeleteMarkers'>,
  bucket: string,
  key: string,
): KeyVersion[] {
  const placeOf = (entry: DeleteMarkerEntry) => ({
    bucket,
    key,
    ...versionOf(entry.VersionId),
    lastModified: wholeSeconds(entry.LastModified),
    isLatest: entry.IsLatest ?? false,
  });
  const hasKey = ({ Key }: DeleteMarkerEntry): boolean => decodeKey(Key) === key;
  const objects = (page.Versions ?? []).filter(hasKey).map((entry) => ({
    ...placeOf(entry),
    etag: entry.ETag ?? '',
    size: entry.Size ?? 0,
    isDeleteMarker: false,
  }));
  const markers = (page.DeleteMarkers ?? [])
    .filter(hasKey)
    .map((entry) => ({ ...placeOf(entry), etag: '', size: 0, isDeleteMarker: true }));
  const merged: KeyVersion[] = [];
  while (objects.length > 0 || markers.length > 0) {
    const [object, marker] = [objects[0], markers[0]];
    const isMarkerNext =
      marker !== undefined &&
      (object === undefined ||
        marker.isLatest ||
        (!object.isLatest && marker.lastModified > object.lastModified));
    merged.push((isMarkerNext ? markers : objects).shift()!);
  }
  return merged;
}
