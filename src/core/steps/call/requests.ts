/** What is sent in a call, and what is written down of its answer: the form of OpenAI's output files. */
import { membersOf, memberText, withMembers, withoutMembers } from '../../base/json-members.ts';
import type { Manifest } from '../../files/manifest.ts';
import { renderBatch } from '../../files/render.ts';
import type { ObjectStore } from '../../ports/objects.ts';
import type { CallAnswer } from '../../ports/provider.ts';

/** A request of a slice. */
export interface CallRequest {
  customId: string;
  /** The body without the tier, as it is in the line. */
  line: string;
}

/**
 * The lines of a slice, in order, each with a line feed.
 * @throws {ObjectGoneError} if the input was deleted.
 */
export async function renderSlice(
  objects: Pick<ObjectStore, 'read'>,
  manifest: Manifest,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  // Chunks may share a buffer with those that follow.
  for await (const chunk of renderBatch(objects, manifest)) chunks.push(new Uint8Array(chunk));
  return Buffer.concat(chunks);
}

/** Every request of a rendered slice. */
export function readRequests(rendered: Uint8Array): CallRequest[] {
  const lines = Buffer.from(rendered).toString('utf8').split('\n').slice(0, -1);
  return lines.map((line) => ({ customId: (JSON.parse(line) as { custom_id: string }).custom_id, line }));
}

/**
 * The body of a request as JSON, with the members that say its tier. Nothing else of its text changes, but that it is
 * made in the background in a tier that is, and nowhere else: what is made there has no answer yet when its call ends,
 * and no usage. A `continuation_id` stays beside the window.
 */
export function bodyOf({ line }: CallRequest, tierMembers: readonly [name: string, json: string][]): string {
  const body = memberText(line, 'body')!;
  const isInBackground = tierMembers.some(([name]) => name === 'background');
  const own = isInBackground ? body : withoutMembers(body, ['background', 'background_options']);
  return withMembers(own, { set: tierMembers.map(([name, json]) => [name, mergedJson(own, name, json)]) });
}

/** The value of a member: an object takes in what the body has in its place. */
function mergedJson(body: string, name: string, json: string): string {
  const own = memberText(body, name);
  if (!json.startsWith('{') || own?.startsWith('{') !== true) return json;
  const set = membersOf(json).map((member) => [member.name, json.slice(member.start, member.end)] as const);
  return withMembers(own, { set });
}

/** The line of an answer, whatever its status. A body that is no JSON is kept as text, as OpenAI does. */
export function answerLine(customId: string, { status, requestId, body }: CallAnswer): string {
  const response = { status_code: status, request_id: requestId ?? '', body: 0 };
  const text = JSON.stringify({ id: lineIdOf(requestId), custom_id: customId, response, error: null });
  // Spliced in as it came: numbers and escapes of an answer are not ours to change.
  return text.replace(/"body":0\},"error":null\}$/, () => `"body":${asJson(body)}},"error":null}`);
}

/** The line of a request that got no answer. */
export function unansweredLine(customId: string, error: { code: string; message: string } | null): string {
  return JSON.stringify({ id: lineIdOf(undefined), custom_id: customId, response: null, error });
}

function lineIdOf(requestId: string | undefined): string {
  return `call_${requestId ?? 'none'}`;
}

/** JSON on one line: a line end in it is a blank between values, because strings cannot hold one. */
function asJson(body: string): string {
  try {
    JSON.parse(body);
    return body.trim().replace(/[\r\n]+/g, ' ');
  } catch {
    return JSON.stringify(body);
  }
}
