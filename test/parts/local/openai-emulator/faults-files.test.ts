import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import OpenAI from 'openai';
import { expect, test } from 'vitest';
import { createInBackground, HOUR_MS } from './background-support.ts';
import {
  chatLine,
  chatLines,
  contentOf,
  createBatch,
  linesOf,
  refusalOf,
  startForTest,
  toJsonl,
  upload,
} from './support.ts';

const FOLDER = join(import.meta.dirname, '../../../../local/openai-emulator/faults');

type Parts = Awaited<ReturnType<typeof startForTest>> & {
  /** Creates a batch of so many lines. */
  create(lines?: number): Promise<OpenAI.Batches.Batch>;
  /** The batch after so many seconds more. */
  after(seconds: number, batch: OpenAI.Batches.Batch): Promise<OpenAI.Batches.Batch>;
};

/** What each file is for, seen through the official client: one entry per file of the folder. */
const SEEN: Record<string, (parts: Parts) => Promise<void>> = {
  'q01-stuck-in-progress': async ({ create, after }) => {
    const [first, second] = [await create(), await create()];
    expect(await after(20_000, first)).toMatchObject({
      status: 'in_progress',
      request_counts: { completed: 0 },
    });
    expect((await after(10_000, second)).status).toBe('completed');
    expect((await after(60_000, first)).status).toBe('expired');
  },
  'q02-stuck-validating-or-finalizing': async ({ create, after }) => {
    const [first, second] = [await create(), await create()];
    expect((await after(7_000, first)).status).toBe('validating');
    expect((await after(0, second)).status).toBe('finalizing');
    expect([(await after(7_000, first)).status, (await after(0, second)).status]).toEqual([
      'completed',
      'completed',
    ]);
  },
  'q03-all-failed-no-output': async ({ create, after }) => {
    const batch = await after(600, await create(2));
    expect(batch).toMatchObject({
      status: 'completed',
      output_file_id: null,
      error_file_id: expect.stringMatching(/^file-/),
    });
  },
  'q04-empty-string-file-ids': async ({ create, after }) => {
    expect(await after(600, await create())).toMatchObject({ status: 'completed', error_file_id: '' });
  },
  'q05-fewer-lines-than-total': async ({ client, create, after }) => {
    const batch = await after(600, await create(3));
    expect(batch.request_counts).toMatchObject({ total: 3, completed: 3 });
    expect((await linesOf(client, batch.output_file_id)).length).toBe(2);
  },
  'q06-counts-above-total': async ({ create, after }) => {
    expect((await after(600, await create(2))).request_counts).toMatchObject({ total: 99, completed: 99 });
  },
  'q07-status-zero': async ({ client, create, after }) => {
    const batch = await after(600, await create(2));
    expect(batch.request_counts).toEqual({ total: 2, completed: 2, failed: 0 });
    expect(await linesOf(client, batch.error_file_id)).toMatchObject([{ response: { status_code: 0 } }]);
  },
  'q08-truncated-download': async ({ client, create, after }) => {
    const { output_file_id } = await after(600, await create(9));
    await expect(contentOf(client, output_file_id)).rejects.toThrow();
    await expect(contentOf(client, output_file_id)).rejects.toThrow();
    expect((await linesOf(client, output_file_id)).length).toBe(9);
  },
  'q09-content-502': async ({ client, create, after }) => {
    const batch = await after(600, await create());
    expect((await refusalOf(client.files.content(batch.output_file_id!))).status).toBe(502);
    await after(7_200, batch);
    expect((await linesOf(client, batch.output_file_id)).length).toBe(1);
  },
  'q10-mojibake': async ({ client, create, after }) => {
    const first = await after(600, await create());
    expect(await contentOf(client, first.output_file_id)).toContain('ZoÃ«');
    const second = await after(600, await create());
    const bytes = await (await client.files.content(second.output_file_id!)).arrayBuffer();
    expect(() => new TextDecoder('utf-8', { fatal: true }).decode(bytes)).toThrow();
  },
  'q11-tokens-not-released': async ({ create, after }) => {
    expect((await after(600, await create(2))).status).toBe('completed');
    expect((await after(600, await create(2))).errors?.data?.[0]?.code).toBe('token_limit_exceeded');
    const third = await create(1);
    await after(90_000, third);
    expect((await after(600, await create(2))).status).toBe('completed');
  },
  'q12-slow-cancel-lost-lines': async ({ client, create, after }) => {
    const batch = await create(5);
    const early = await after(30, batch);
    const later = await after(30, batch);
    expect(later.request_counts!.completed).toBeLessThan(early.request_counts!.completed);
    await client.batches.cancel(batch.id);
    expect((await after(599, batch)).status).toBe('cancelling');
    const cancelled = await after(1, batch);
    expect(cancelled).toMatchObject({ status: 'cancelled', output_file_id: null });
    expect((await linesOf(client, cancelled.error_file_id)).length).toBeLessThan(5);
  },
  'q13-vanished': async ({ client, create, after }) => {
    const [first, second] = [await create(), await create()];
    expect((await refusalOf(after(600, first))).status).toBe(404);
    const { output_file_id } = await after(0, second);
    expect((await refusalOf(client.files.content(output_file_id!))).status).toBe(404);
  },
  'q14-expired-early-or-overrun': async ({ client, create, after }) => {
    const [first, second] = [await create(3), await create(3)];
    const early = await after(3_600, first);
    expect(early.status).toBe('expired');
    expect((await linesOf(client, early.output_file_id)).length).toBe(1);
    expect((await after(83_000, second)).status).toBe('in_progress');
    const late = await after(1_000, second);
    expect(late).toMatchObject({ status: 'completed', completed_at: second.expires_at! + 600 });
  },
  'q15-duplicate-lines': async ({ client, create, after }) => {
    const batch = await after(600, await create(3));
    expect((await linesOf(client, batch.output_file_id)).length).toBe(4);
    expect((await linesOf(client, batch.error_file_id)).length).toBe(1);
  },
  'q16-late-files': async ({ client, create, after }) => {
    const batches = [await create(), await create(), await create()];
    const [first, second, third] = await Promise.all(batches.map((batch) => after(25, batch)));
    expect((await refusalOf(client.files.content(first!.output_file_id!))).status).toBe(404);
    expect(await contentOf(client, second!.output_file_id)).toBe('');
    expect((await client.files.retrieve(second!.output_file_id!)).bytes).toBe(0);
    expect(await contentOf(client, third!.output_file_id)).toBe('');
    expect((await client.files.retrieve(third!.output_file_id!)).bytes).toBeGreaterThan(0);
    await after(60, first!);
    for (const { output_file_id } of [first!, second!, third!]) {
      expect((await linesOf(client, output_file_id)).length).toBe(1);
    }
  },
  'q17-token-limit-on-a-tiny-batch': async ({ create, after }) => {
    const refused = await after(600, await create());
    expect(refused.errors?.data?.[0]?.message).toContain('Limit: 90,000 enqueued tokens');
    expect((await after(600, await create())).status).toBe('completed');
  },
  'q18-one-model-fails-for-a-day': async ({ client, create, after }) => {
    const first = await after(86_400, await create(2));
    const lines = await linesOf(client, first.error_file_id);
    expect(lines.map((line) => line.response?.status_code)).toEqual([404, 404]);
    expect((await after(600, await create(2))).request_counts?.failed).toBe(0);
  },
  'q19-create-without-answer': async ({ emulator, client }) => {
    await expect(createBatch(client, chatLines(1))).rejects.toBeInstanceOf(OpenAI.APIConnectionError);
    const hasty = new OpenAI({ baseURL: emulator.endpoint, apiKey: 'sk-test', maxRetries: 0, timeout: 500 });
    await expect(createBatch(hasty, chatLines(1))).rejects.toBeInstanceOf(OpenAI.APIConnectionTimeoutError);
    await createBatch(client, chatLines(1));
    expect((await client.batches.list()).data.length).toBe(3);
  },
  'q20-ends-badly': async ({ client, create, after }) => {
    const ends: Buffer[] = [];
    for (let i = 0; i < 5; i++) {
      const { output_file_id } = await after(600, await create(2));
      ends.push(Buffer.from(await (await client.files.content(output_file_id!)).arrayBuffer()));
    }
    expect(ends.slice(0, 3).map((bytes) => bytes.at(-1) === 0x0a)).toEqual([false, false, false]);
    expect(() => new TextDecoder('utf-8', { fatal: true }).decode(ends[2])).toThrow();
    expect([ends[3]!.subarray(-2).toString(), ends[4]!.subarray(-1).toString()]).toEqual(['\r\n', '\r']);
  },
  azure: async ({ client, create, after }) => {
    const batch = await after(100_000, await create());
    expect(batch.status).toBe('Completed');
    expect((await client.files.retrieve(batch.error_file_id!)).bytes).toBe(0);
  },
  together: async ({ create, after }) => {
    expect((await after(600, await create())).status).toBe('COMPLETED');
  },
  'flex-without-capacity': async ({ client }) => {
    const body = { ...chatLine('a').body, model: 'gpt-6-luna', service_tier: 'flex' };
    const asked = await Promise.allSettled(
      Array.from({ length: 40 }, () => client.chat.completions.create(body as never)),
    );
    const refused = asked.filter(({ status }) => status === 'rejected').length;
    expect(refused).toBeGreaterThan(5);
    expect(refused).toBeLessThan(35);
  },
  'models-without-flex': async ({ client, emulator }) => {
    const ask = (model: string, service_tier: string) =>
      client.chat.completions.create({ ...chatLine('a').body, model, service_tier } as never);
    await expect(ask('gpt-4o-mini', 'flex')).rejects.toMatchObject({ status: 400 });
    expect(await ask('gpt-4o-mini', 'default')).toMatchObject({ service_tier: 'default' });
    expect(await ask('gpt-6-luna', 'flex')).toMatchObject({ service_tier: 'flex' });
    const entries = await emulator.ledger.all();
    expect(entries.map(({ status, billed_tokens }) => [status, billed_tokens > 0]).sort()).toEqual([
      [200, true],
      [200, true],
      [400, false],
    ]);
  },
  'failed-after-execution': async ({ client, emulator, create, after }) => {
    const created = [await create(2), await create(2), await create(3)];
    expect((await after(60, created[1]!)).status).toBe('in_progress');
    const [first, second, third] = await Promise.all(created.map((batch) => after(200, batch)));
    for (const batch of [first!, second!, third!]) {
      expect(batch).toMatchObject({ status: 'failed', errors: { data: [{ code: 'server_error' }] } });
      expect(batch.in_progress_at).not.toBeNull();
    }
    expect((await linesOf(client, first!.output_file_id)).length).toBe(2);
    expect(first!.request_counts).toEqual({ total: 2, completed: 2, failed: 0 });
    expect(second!).toMatchObject({ output_file_id: null, error_file_id: null });
    expect(second!.request_counts).toEqual({ total: 0, completed: 0, failed: 0 });
    expect(third!).toMatchObject({ output_file_id: null, request_counts: { total: 3, completed: 1 } });
    expect((await emulator.ledger.all()).map(({ batch_id }) => batch_id)).toEqual([
      ...[first, first, second, second, third].map((batch) => batch!.id),
    ]);
  },
  'counts-unusable': async ({ client, create, after }) => {
    const created = [await create(2), await create(2), await create(2), await create(2)];
    expect((await after(60, created[0]!)).request_counts).toMatchObject({ total: 2 });
    const counts = [];
    for (const batch of created) counts.push((await after(100, batch)).request_counts);
    const zeros = { total: 0, completed: 0, failed: 0 };
    const strings = { total: '2', completed: '2', failed: '2' };
    expect(counts).toEqual([undefined, null, zeros, strings]);
    expect((await client.batches.list()).data.map((batch) => batch.request_counts)).toEqual([
      strings,
      zeros,
      null,
      undefined,
    ]);
  },
  'files-named-late': async ({ client, emulator, create, after }) => {
    const batch = await create(4);
    await after(60 + 4 * 8, batch);
    expect(await after(5, batch)).toMatchObject({ status: 'completed', output_file_id: null });
    const { output_file_id } = await after(60, batch);
    expect((await linesOf(client, output_file_id)).length).toBe(2);
    emulator.clock.advance(60_000);
    expect((await linesOf(client, output_file_id)).length).toBe(4);
  },
  'young-file': async ({ client, emulator, create }) => {
    const refused = await refusalOf(create());
    expect(refused.status).toBe(400);
    expect(refused.message).toContain('Cannot find file');
    const [file] = (await client.files.list()).data;
    expect(file!.status).toBe('uploaded');
    emulator.clock.advance(3_000);
    expect((await client.files.retrieve(file!.id)).status).toBe('processed');
    await client.batches.create({
      input_file_id: file!.id,
      endpoint: '/v1/chat/completions',
      completion_window: '24h',
    });
  },
  'upload-without-bytes': async ({ client }) => {
    const content = toJsonl(chatLines(1));
    const files = [
      await upload(client, content),
      await upload(client, content),
      await upload(client, content),
    ];
    expect(files.map(({ bytes }) => bytes)).toEqual([0, undefined, content.length]);
    expect((await client.files.retrieve(files[0]!.id)).bytes).toBe(content.length);
  },
  'storage-quota': async ({ create }) => {
    for (let i = 0; i < 2; i++) {
      expect(await refusalOf(create())).toMatchObject({
        status: 400,
        code: null,
        type: 'invalid_request_error',
      });
    }
    await create();
  },
  'odd-lines': async ({ client, emulator, create, after }) => {
    const batch = await after(600, await create(10));
    const content = Buffer.from(await (await client.files.content(batch.output_file_id!)).arrayBuffer());
    expect(() => new TextDecoder('utf-8', { fatal: true }).decode(content)).toThrow();
    const lines = content
      .toString('utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    const of = (number: number) => lines.filter(({ custom_id }) => custom_id === `request-${number}`);
    const bodyOf = (number: number) => of(number)[0].response.body;
    expect(bodyOf(1)).toEqual({});
    expect(bodyOf(2)).toEqual({ error: 'upstream timed out' });
    expect(of(3)).toMatchObject([{ error: { code: '', message: '' }, response: { status_code: 200 } }]);
    expect(bodyOf(3).choices.length).toBe(1);
    expect(bodyOf(4)).not.toHaveProperty('usage');
    expect(bodyOf(5).usage).toMatchObject({ input_tokens: 0, output_tokens: 0 });
    expect(bodyOf(5).usage.prompt_tokens).toBeGreaterThan(0);
    expect([of(6), of(8)]).toEqual([[], []]);
    expect(await linesOf(client, batch.error_file_id)).toMatchObject([
      { custom_id: 'request-6', response: null, error: { code: 429 } },
    ]);
    expect(of(9).map(({ response }) => response.status_code)).toEqual([500, 200]);
    expect(bodyOf(10).choices.length).toBe(1);
    // What the lines say is not what was bought.
    expect((await emulator.ledger.all()).filter(({ billed_tokens }) => billed_tokens > 0).length).toBe(10);
  },
  'responses-unfinished': async ({ client, after }) => {
    const lines = Array.from({ length: 5 }, (_, index) => ({
      custom_id: `r-${index + 1}`,
      method: 'POST',
      url: '/v1/responses',
      body: { model: 'gpt-6-luna', input: 'Hello' },
    }));
    const { output_file_id } = await after(
      600,
      await createBatch(client, lines, { endpoint: '/v1/responses' }),
    );
    const bodies = (await linesOf(client, output_file_id))
      .sort((a, b) => a.custom_id.localeCompare(b.custom_id))
      .map((line) => line.response!.body as { status: string; output: { type: string }[]; usage: unknown });
    expect(bodies.map(({ status }) => status)).toEqual([
      'queued',
      'in_progress',
      'cancelled',
      'incomplete',
      'completed',
    ]);
    expect(bodies[0]).toMatchObject({ output: [], usage: null });
    expect(bodies[3]).toMatchObject({ incomplete_details: { reason: 'content_filter' } });
    expect(bodies[4]!.output.map(({ type }) => type)).toEqual([
      'web_search_call',
      'web_search_call',
      'message',
    ]);
  },
  'list-pages': async ({ client, create }) => {
    const ids: string[] = [];
    for (let i = 0; i < 8; i++) ids.unshift((await create()).id);
    const pageAfter = async (after?: string) => {
      const page = await client.batches.list({ limit: 2, ...(after === undefined ? {} : { after }) });
      return [...page.data.map(({ id }) => ids.indexOf(id)), page.has_more];
    };
    expect(await pageAfter()).toEqual([0, 1, true]);
    expect(await pageAfter(ids[1])).toEqual([1, 2, true]);
    expect(await pageAfter(ids[2])).toEqual([4, 5, true]);
    expect(await pageAfter(ids[5])).toEqual([true]);
    expect(await pageAfter(ids[5])).toEqual([6, 7, true]);
    expect(await pageAfter(ids[7])).toEqual([0, 1, true]);
  },
  'slow-calls': async ({ client, emulator }) => {
    const hasty = new OpenAI({ baseURL: emulator.endpoint, apiKey: 'sk-test', maxRetries: 0, timeout: 300 });
    await expect(hasty.batches.list()).rejects.toBeInstanceOf(OpenAI.APIConnectionTimeoutError);
    const stuck = await fetch(`${emulator.endpoint}/batches`, {
      headers: { authorization: 'Bearer sk-test' },
      signal: AbortSignal.timeout(500),
    });
    await expect(stuck.text()).rejects.toThrow();
    const begun = performance.now();
    await client.batches.list();
    expect(performance.now() - begun).toBeGreaterThan(500);
    let isAnswered = false;
    const delayed = createBatch(client, chatLines(1)).then(() => {
      isAnswered = true;
    });
    // The effect is there before the answer.
    while ((await client.batches.list()).data.length === 0);
    emulator.clock.advance(599_000);
    await client.batches.list();
    expect(isAnswered).toBe(false);
    emulator.clock.advance(1_000);
    await delayed;
  },
};

SEEN['background-troubles'] = async ({ client, emulator }) => {
  await expect(createInBackground(client, {}, 'lost')).rejects.toBeInstanceOf(OpenAI.APIConnectionError);
  const ids: string[] = [];
  for (const name of ['stuck', 'late', 'raced', 'failed', 'gone'])
    ids.push((await createInBackground(client, {}, name)).id);
  expect((await client.responses.cancel(ids[2]!)).status).toBe('completed');
  emulator.clock.advance(8 * HOUR_MS);
  const statuses = async () =>
    Promise.all(
      ids.map((id) =>
        client.responses.retrieve(id).then(
          ({ status }) => status,
          () => 404,
        ),
      ),
    );
  expect(await statuses()).toEqual(['queued', 'in_progress', 'completed', 'failed', 404]);
  emulator.clock.advance(HOUR_MS);
  expect(await statuses()).toEqual(['queued', 'completed', 'completed', 'failed', 404]);
  const rows = (await emulator.ledger.all()).map(({ custom_id, rate, status }) => [custom_id, rate, status]);
  expect(rows).toEqual([
    ['lost', 0.6, 200],
    ['late', 1, 200],
    ['raced', 0.6, 200],
    ['failed', 0.6, 500],
    ['gone', 0.6, 200],
  ]);
};

const FILES = readdirSync(FOLDER).map((name) => name.replace(/\.json$/, ''));

test('every fault that was reported has a file, and every file is tried here', () => {
  expect(Object.keys(SEEN).sort()).toEqual(FILES.sort());
  const numbers = FILES.flatMap((name) => /^q(\d\d)-/.exec(name)?.[1] ?? []).map(Number);
  expect(numbers).toEqual(Array.from({ length: 20 }, (_, index) => index + 1));
});

test.each(FILES)('%s.json does what it says', async (name) => {
  const parts = await startForTest({ faults: join(FOLDER, `${name}.json`) });
  await SEEN[name]!({
    ...parts,
    create: (lines = 1) => createBatch(parts.client, chatLines(lines)),
    after: (seconds, batch) => {
      parts.emulator.clock.advance(seconds * 1000);
      return parts.client.batches.retrieve(batch.id) as Promise<OpenAI.Batches.Batch>;
    },
  });
});
