/** Marks in the metadata of responses that are created in the background: whose each is, and of which request. */
import { membersOf, memberText, withMembers } from '../base/json-members.ts';
import type { BatchKey } from '../model/batch.ts';
import { STACK_KEY } from './ownership.ts';

const REQUEST_KEY = 'batchdrop_request';
/** What the mark ends with of a response that is not to be deleted. */
const STORED = '/stored';
/** Source: API reference, "Create a model response", `metadata` (2026-11): up to 16 pairs. */
const MAX_PAIRS = 16;

/** One create: a request of a slice, and the visit that created it. */
export interface ResponseMark extends BatchKey {
  /** Its place in the slice. */
  request: number;
  nonce: string;
  /** Its line says that OpenAI is to store it: it is never deleted. */
  isStored?: true | undefined;
}

/**
 * The body of a request with the marks in its metadata, beside its own.
 * @returns `undefined` if its own metadata leaves no room, or is no object: such a response cannot be found by its
 * marks.
 */
export function withMarks(
  body: string,
  stackId: string,
  mark: Omit<ResponseMark, 'isStored'>,
): string | undefined {
  const { jobId, batchId, request, nonce } = mark;
  const stored = memberText(body, 'store') === 'true' ? STORED : '';
  const set: [string, string][] = [
    [STACK_KEY, JSON.stringify(stackId)],
    [REQUEST_KEY, JSON.stringify(`${jobId}/${batchId}/${request}/${nonce}${stored}`)],
  ];
  const own = memberText(body, 'metadata') ?? 'null';
  if (own !== 'null' && !own.startsWith('{')) return undefined;
  const marked = withMembers(own === 'null' ? '{}' : own, { set });
  const names = new Set(membersOf(marked).map(({ name }) => name));
  return names.size > MAX_PAIRS ? undefined : withMembers(body, { set: [['metadata', marked]] });
}

/** Which create a response came of; `undefined`: another stack's, or nobody's. */
export function markOf(stackId: string, metadata: unknown): ResponseMark | undefined {
  if (typeof metadata !== 'object' || metadata === null) return undefined;
  const { [STACK_KEY]: stack, [REQUEST_KEY]: text } = metadata as Record<string, unknown>;
  if (stack !== stackId || typeof text !== 'string') return undefined;
  const isStored = text.endsWith(STORED) || undefined;
  const match = /^([^/]+)\/([^/]+)\/(\d+)\/([^/]+)$/.exec(isStored ? text.slice(0, -STORED.length) : text);
  if (match === null) return undefined;
  const [, jobId, batchId, request, nonce] = match as unknown as [string, string, string, string, string];
  return { jobId, batchId, request: Number(request), nonce, isStored };
}
