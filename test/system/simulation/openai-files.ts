/** Input and result files of the simulated OpenAI, as bytes. */
import { IncompleteDownloadError } from '../../../src/core/base/errors.ts';
import type { ServiceBatch, ServiceFile, ServiceRequest } from './openai-model.ts';
import { tokensIn } from './oracle/tokens.ts';

/** The project of a version of a key. */
export function projectOf(apiKey: string, keyVersion: string): string {
  return `${apiKey}/${keyVersion}`;
}

export function tokensOf({ requests }: ServiceBatch): number {
  return requests.reduce((sum, { tokens }) => sum + tokens, 0);
}

/** A line that does not read as JSON counts as a request that nobody can be told apart by. */
export function readRequests(content: Uint8Array): ServiceRequest[] {
  return Buffer.from(content)
    .toString('utf8')
    .trimEnd()
    .split('\n')
    .map((line) => {
      const [, marker = '', kind = ''] = /prompt-([0-9.]+)-(\w+)\./.exec(line) ?? [];
      const tokens = tokensIn(line);
      try {
        const { custom_id, body } = JSON.parse(line) as { custom_id: string; body: { model: string } };
        return { customId: custom_id, model: body.model, marker, kind, tokens };
      } catch {
        return { customId: '', model: '', marker, kind: 'poison', tokens };
      }
    });
}

export function textOf(file: ServiceFile | undefined): string[] {
  if (file === undefined) return [];
  return Buffer.from(file.content).toString('utf8').trimEnd().split('\n');
}

export async function* inPieces(content: Uint8Array, from: number, end: number): AsyncGenerator<Uint8Array> {
  const half = Math.floor((from + end) / 2);
  if (half > from) yield content.slice(from, half);
  if (end > half) yield content.slice(Math.max(from, half), end);
}

export async function* breakingOff(
  content: Uint8Array,
  from: number,
  end: number,
  id: string,
): AsyncGenerator<Uint8Array> {
  yield* inPieces(content, from, end);
  throw new IncompleteDownloadError(
    `GET /files/${id}/content broke off after ${end} of ${content.length} bytes`,
  );
}
