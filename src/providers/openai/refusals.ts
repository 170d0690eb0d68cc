/** What OpenAI's refusals are about, where only their words say so. */
import type { RefusalTopic } from '../../core/base/errors.ts';

/**
 * The file of a create cannot be used yet. Sources:
 * platform.openai.com/docs/guides/batch ("Cannot find file …"); API reference ("No
 * such File object: …"); bespokelabsai/curator#116; Azure, openai-dotnet#312 (a file must be `processed`); Voyage,
 * GenAI-Showcase#175 ("Input file not found").
 */
const FILE_NOT_READY =
  /\bcannot find (the )?file\b|\bno such file\b|\bfile (\S+ )?(was )?not found\b|\bfile\b.*\bnot\b.{0,20}\b(processed|ready)\b/i;

/**
 * The account has no room for files. Sources: bespokelabsai/curator#189 ("You have exceeded your file storage
 * quota."); Azure, azure-sdk-for-java#47401 ("The quota for files without expiry is reached.").
 */
const STORAGE_FULL = /\bstorage (quota|limit|space)\b|\bquota for files\b|\bout of (storage|space)\b/i;

/**
 * @param action such as `POST /batches`.
 * @param said OpenAI's error as text.
 */
export function topicOf(action: string, said: string): RefusalTopic | undefined {
  if (STORAGE_FULL.test(said)) return 'storage_full';
  return action === 'POST /batches' && FILE_NOT_READY.test(said) ? 'file_not_ready' : undefined;
}
