import type { BatchError } from './batch-lifecycle.ts';

/** The organization that error messages name. */
export const ORGANIZATION = 'org-emulated0000000000000000';

/** Of a batch whose file is not there, not its project's, or no batch input. */
export const cannotFind = (fileId: string): BatchError => ({
  code: 'invalid_request',
  message: `Cannot find file ${fileId}, or organization ${ORGANIZATION} does not have access to it.`,
  param: 'file_id',
  line: null,
});

/** Of a batch that has no room in the queue of its model, in tokens. */
export const tokenLimitExceeded = (model: string, limit: number): BatchError => ({
  code: 'token_limit_exceeded',
  message: `Enqueued token limit reached for ${model} in organization ${ORGANIZATION}. Limit: ${limit.toLocaleString('en-US')} enqueued tokens. Please try again once some in_progress batches have been completed.`,
  param: null,
  line: null,
});
