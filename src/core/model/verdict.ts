/** What one line of results says of its request, in the words of the core: every provider's answers come to these. */
import type { Cause } from './tries.ts';

/** What is known of a request, to judge its answer by. */
export interface Asked {
  endpoint?: string | undefined;
  /** How many inputs an embeddings request has, each of which gets a vector. Absent: at least one. */
  inputs?: number | undefined;
}

/** What ended an answer before its time. It is an answer that was paid for all the same. */
export type Cut = 'token_limit' | 'content_filter' | 'other';

/** What an operator's error stops: everything sent with the key, or the one model. */
export type OperatorScope = 'key' | 'model';

export type Verdict =
  | { kind: 'succeeded'; cut?: Cut | undefined }
  /** Worth another try: the provider did not execute it, failed while it did, or lost what came of it. */
  | { kind: 'retry'; code: string; cause: Cause }
  /** It was never sent, or not begun as far as anybody knows: that is no try. `isLost`: it may have been charged. */
  | { kind: 'unsent'; code: string; isLost?: boolean }
  /** Nothing is wrong with the request: a person must set the account or the choice of model right. */
  | { kind: 'operator'; code: string; scope: OperatorScope }
  /** It may have been charged, and another try would end the same way. */
  | { kind: 'lost'; code: string }
  /** The same again would fail the same way. */
  | { kind: 'failed'; code: string };
