/** Which versions of the published names are a job's own: the names belong to all versions of its input. */
import { layoutOf } from '../../../contract/layout.ts';
import { type Receipt, receiptSchema } from '../../../contract/receipt.ts';
import type { Settings } from '../../../contract/settings.ts';
import { ObjectGoneError } from '../../base/errors.ts';
import { type PublishedKeys, publishedKeys } from '../../files/keys.ts';
import type { Job } from '../../model/job.ts';
import type { KeyVersion, ListCursor, SourceObject } from '../../model/objects.ts';
import type { Inputs, ObjectStore } from '../../ports/objects.ts';

/** What it takes to look at results. */
export interface ResultsDeps {
  settings: Pick<Settings, 'layout' | 'routes'>;
  objects: Pick<ObjectStore, 'read'>;
  inputs: Pick<Inputs, 'listKey'>;
}

/** A version of a receipt, and the job that it is of. */
interface ReceiptVersion {
  version: KeyVersion;
  /** `undefined`: it is no receipt of ours. */
  receipt: Receipt | undefined;
}

/** What a job has published and is still there. */
export interface Results {
  /** Its receipt; `undefined` if no version of it is there. */
  receipt: Receipt | undefined;
  /** Its own versions, by name; the newest first. */
  versions: Record<keyof PublishedKeys, KeyVersion[]>;
  /** Whether receipts of other jobs are at the plain names of its input. */
  isShared: boolean;
}

const FILES = ['output', 'errors', 'retry'] as const;

/**
 * A receipt is written last, while no other job writes its names: so each version of a result file is of the job whose
 * receipt is the first one after it. S3 keeps whole seconds, so a file of the same second as a receipt may be of the
 * job of that receipt or of the next; it counts as the former's, unless it is what the name gives now and the newest
 * receipt is another job's.
 */
export async function resultsOf(deps: ResultsDeps, job: Job): Promise<Results> {
  const versions: Results['versions'] = { output: [], errors: [], retry: [], receipt: [] };
  const own: Results = { receipt: undefined, versions, isShared: false };
  const layout = layoutOf(deps.settings, job.route);
  const plain = publishedKeys(layout, job.input.key);
  for (const keys of [plain, publishedKeys(layout, job.input.key, job.jobId)]) {
    const receipts = await receiptsAt(deps, job.input.bucket, keys.receipt);
    const ofJob = receipts.filter(({ receipt }) => receipt?.jobId === job.jobId);
    // At the names that have its id, there are none.
    own.isShared ||= receipts.length > ofJob.length;
    // Whatever is at the names that have its id is its own, also what was published after its last receipt.
    const isOwnName = keys !== plain;
    if (ofJob.length === 0 && !isOwnName) continue;
    own.receipt ??= ofJob[0]?.receipt;
    own.versions.receipt.push(...ofJob.map(({ version }) => version));
    for (const name of FILES)
      for (const version of await versionsAt(deps, keys[name]))
        if (isOwnName || isOwn(version, { jobId: job.jobId, name, receipts }))
          own.versions[name].push(version);
  }
  return own;
}

/**
 * Whether a version of a result file is of a job, and not of one that it is a duplicate of.
 * @param of.receipts of the same names, newest first.
 */
function isOwn(
  version: KeyVersion,
  {
    jobId,
    name,
    receipts,
  }: { jobId: string; name: (typeof FILES)[number]; receipts: readonly ReceiptVersion[] },
): boolean {
  const isReplaced = receipts[0]?.receipt?.jobId !== jobId && receipts[0]?.receipt?.duplicateOf === undefined;
  if (version.isLatest && isReplaced) return false;
  const first = receipts.findLast(({ version: { lastModified } }) => lastModified >= version.lastModified);
  const { receipt } = first ?? {};
  return receipt?.jobId === jobId && receipt.duplicateOf === undefined && receipt.files[name] === version.key;
}

async function receiptsAt(deps: ResultsDeps, bucket: string, key: string): Promise<ReceiptVersion[]> {
  const receipts: ReceiptVersion[] = [];
  for (const version of await versionsAt(deps, key))
    receipts.push({ version, receipt: await readReceipt(deps, { bucket, key, ...idOf(version) }) });
  return receipts;
}

function idOf({ versionId }: KeyVersion): { versionId?: string } {
  return versionId === undefined ? {} : { versionId };
}

async function readReceipt({ objects }: ResultsDeps, source: SourceObject): Promise<Receipt | undefined> {
  const chunks: Uint8Array[] = [];
  try {
    for await (const chunk of await objects.read(source)) chunks.push(new Uint8Array(chunk));
    return receiptSchema.safeParse(JSON.parse(Buffer.concat(chunks).toString('utf8'))).data;
  } catch (error) {
    if (error instanceof ObjectGoneError || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** What is kept at a key, newest first, without delete markers. */
export async function versionsAt(
  { inputs }: Pick<ResultsDeps, 'inputs'>,
  key: string,
): Promise<KeyVersion[]> {
  const versions: KeyVersion[] = [];
  let after: ListCursor | undefined;
  do {
    const page = await inputs.listKey(key, after);
    versions.push(...page.versions.filter(({ isDeleteMarker }) => !isDeleteMarker));
    after = page.next;
  } while (after !== undefined);
  return versions;
}
