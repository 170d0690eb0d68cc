/** Files of requests with anything in them, and what must come of each line. */
import fc from 'fast-check';
import type { BatchLimits } from '../../src/core/model/limits.ts';
import { requestLine } from './request-lines.ts';

/** One line of a file under test, and what must become of it. */
export interface Spec {
  /** Without its line end. */
  text: string | Buffer;
  kind: 'good' | 'blank' | 'bad';
  id?: string;
  model?: string;
  endpoint?: string;
  code?: string;
}

export const ENDPOINTS = ['/v1/chat/completions', '/v1/embeddings'] as const;

const goodArbitrary: fc.Arbitrary<Spec> = fc
  .record({
    id: fc.oneof(
      fc.nat({ max: 40 }).map((number) => `id-${number}`),
      fc.string({ unit: 'binary', minLength: 1, maxLength: 8 }),
    ),
    model: fc.constantFrom('m1', 'm2', 'm3', 'm4'),
    endpoint: fc.constantFrom(...ENDPOINTS),
    input: fc.oneof(fc.string({ unit: 'binary' }), fc.array(fc.string(), { minLength: 1, maxLength: 5 })),
    around: fc.constantFrom(['', ''], [' ', ''], ['', ' '], ['\t ', ' \t'], ['', '\r']),
  })
  .map(({ id, model, endpoint, input, around }) => ({
    text: around[0] + requestLine(id, { url: endpoint, body: { model, input } }) + around[1],
    kind: 'good',
    id,
    model,
    endpoint,
  }));

export const bad = (text: string | Buffer, code: string): Spec => ({ text, kind: 'bad', code });
const badArbitrary: fc.Arbitrary<Spec> = fc.constantFrom(
  bad('hello', 'invalid_json_line'),
  bad('  {"custom_id": ', 'invalid_json_line'),
  bad('[]', 'invalid_json_line'),
  bad(Buffer.from([0x22, 0xff, 0x22]), 'invalid_json_line'),
  bad('\ufeff{}', 'invalid_json_line'),
  bad('{}', 'missing_required_parameter'),
  bad(requestLine('id-1', { url: '/v1/none' }), 'invalid_url'),
  bad(requestLine('id-2', { method: 'GET' }), 'invalid_value'),
  bad(requestLine('id-3', { body: { model: 'm1', stream: true } }), 'streaming_unsupported'),
  bad(requestLine('id-4', { body: [] }), 'invalid_type'),
  bad(requestLine('id-5', { body: {} }), 'invalid_request'),
);
const blankArbitrary: fc.Arbitrary<Spec> = fc
  .constantFrom('', ' ', '\t', '\r', ' \r', '\r\r')
  .map((text) => ({ text, kind: 'blank' }));

export const fileArbitrary = fc
  .record({
    specs: fc.array(
      fc.oneof(
        { weight: 6, arbitrary: goodArbitrary },
        { weight: 2, arbitrary: badArbitrary },
        { weight: 1, arbitrary: blankArbitrary },
      ),
      { maxLength: 60 },
    ),
    ends: fc.array(fc.constantFrom('\n', '\r\n'), { minLength: 1, maxLength: 5 }),
    hasMark: fc.boolean(),
    hasLastEnd: fc.boolean(),
  })
  // After a mark that is dropped, a line that begins with another one is not the same line.
  .filter(({ specs, hasMark }) => hasMark || !String(specs[0]?.text).startsWith('\ufeff'))
  .map(({ specs, ends, hasMark, hasLastEnd }) => layOut(specs, ends, hasMark, hasLastEnd));

interface Expected {
  line: number;
  offset: number;
  text: string;
  model: string;
  endpoint: string;
}

/** The file of these lines, and what must come of it, found the plain way. */
export function layOut(specs: readonly Spec[], ends: readonly string[], hasMark = false, hasLastEnd = true) {
  const pieces: Buffer[] = hasMark ? [Buffer.from('\ufeff')] : [];
  let position = pieces.length * 3;
  const good: Expected[] = [];
  const invalid: { line: number; byte: number; code: string; original: string }[] = [];
  const seen = new Set<string>();
  for (const [index, { text, kind, id, model, endpoint, code }] of specs.entries()) {
    const end = index === specs.length - 1 && !hasLastEnd ? '' : ends[index % ends.length]!;
    const raw = Buffer.isBuffer(text) ? text : Buffer.from(text);
    const trimmed = raw.toString('latin1').replace(/^[ \t\r]+|[ \t\r]+$/g, '');
    const offset = position + raw.toString('latin1').indexOf(trimmed);
    if (kind === 'bad') invalid.push({ line: index + 1, byte: offset, code: code!, original: trimmed });
    else if (kind === 'good' && seen.has(id!))
      invalid.push({ line: index + 1, byte: offset, code: 'duplicate_custom_id', original: trimmed });
    else if (kind === 'good') {
      seen.add(id!);
      good.push({
        line: index + 1,
        offset,
        text: Buffer.from(trimmed, 'latin1').toString(),
        model: model!,
        endpoint: endpoint!,
      });
    }
    pieces.push(raw, Buffer.from(end));
    position += raw.length + end.length;
  }
  return { file: Buffer.concat(pieces), good, invalid };
}

export const limitsArbitrary: fc.Arbitrary<Partial<BatchLimits>> = fc.record(
  {
    requests: fc.integer({ min: 1, max: 12 }),
    bytes: fc.integer({ min: 1, max: 2_000 }),
    embeddingInputs: fc.integer({ min: 1, max: 10 }),
    outputBytes: fc.integer({ min: 1, max: 200_000 }),
  },
  { requiredKeys: [] },
);

/** Good requests over so many models in turn, each line about `size` bytes long. */
export function manyModels(models: number, count: number, size = 0): Spec[] {
  return Array.from({ length: count }, (_, index) => {
    const model = `model-${index % models}`;
    const filler = String(Math.imul(index + 1, 0x9e3779b1) >>> 0);
    const input = filler.repeat(Math.ceil(size / filler.length));
    const text = requestLine(`id-${index}`, { url: '/v1/responses', body: { model, input } });
    return { text, kind: 'good', id: `id-${index}`, model, endpoint: '/v1/responses' };
  });
}
