import { MINUTE_MS, SECOND_MS } from '../../../contract/time.ts';
import { type Backoff, waitAfter } from '../../base/backoff.ts';

/** 2 seconds, then twice as long each time, up to a minute. */
const YOUNG_FILE_BACKOFF: Backoff = { firstMs: 2 * SECOND_MS, maxMs: MINUTE_MS };
/**
 * How often one file is tried: for a quarter of an hour. Ours: services process a file in seconds, large ones in
 * minutes; what is not there by then was lost, and a new one is uploaded.
 */
const MAX_TRIES = 20;

/**
 * What a batch that was just uploaded again waits before its create, because OpenAI did not find its last file (ms).
 */
export const RESENT_FILE_WAIT_MS = 60_000;

/**
 * How long a batch waits whose create was refused because its file is not ready, before it is tried with the same
 * file (ms).
 * @param tries how many times the file was not ready, from 1.
 * @returns `undefined` if the file was tried often enough.
 */
export function youngFileWaitMs(tries: number): number | undefined {
  return tries > MAX_TRIES ? undefined : waitAfter(YOUNG_FILE_BACKOFF, tries);
}
