import { describe, expect, test } from 'vitest';
import { chatLine, chatLines, contentOf, createBatch, linesOf, runBatch, startForTest } from './support.ts';

describe('shapes', () => {
  test.each([
    ['upper', 'COMPLETED'],
    ['capital', 'Completed'],
  ] as const)('show states in %s letters', async (statuses, expected) => {
    const parts = await startForTest({ shapes: { statuses } });
    const batch = await runBatch(parts, chatLines(1));
    expect(batch.status).toBe(expected);
    expect((await parts.client.batches.list()).data[0]?.status).toBe(expected);
  });

  test('list batches oldest first, or in the order of their ids', async () => {
    const { client, emulator } = await startForTest();
    const made: string[] = [];
    for (let i = 0; i < 5; i++) {
      made.push((await createBatch(client, chatLines(1))).id);
      emulator.clock.advance(1000);
    }
    const listed = async () => (await Array.fromAsync(client.batches.list({ limit: 2 }))).map(({ id }) => id);
    expect(await listed()).toEqual(made.toReversed());
    emulator.setFaults({ shapes: { listOrder: 'oldest_first' } });
    expect(await listed()).toEqual(made);
    emulator.setFaults({ shapes: { listOrder: 'by_id' } });
    expect(await listed()).toEqual(made.toSorted());
  });

  test('leave has_more out, and the official client stops after one page', async () => {
    const { client } = await startForTest({ shapes: { hasMore: 'absent' } });
    for (let i = 0; i < 3; i++) await createBatch(client, chatLines(1));
    expect((await Array.fromAsync(client.batches.list({ limit: 2 }))).length).toBe(2);
  });

  test('leave out what has no value', async () => {
    const { client } = await startForTest({ shapes: { noValue: 'absent' } });
    const batch = await createBatch(client, chatLines(1));
    expect(Object.values(batch)).not.toContain(null);
    expect(batch).not.toHaveProperty('completed_at');
    expect(batch).not.toHaveProperty('output_file_id');
  });

  test('write output in input order', async () => {
    const parts = await startForTest({ shapes: { outputOrder: 'input' } });
    const batch = await runBatch(parts, chatLines(40));
    const ids = (await linesOf(parts.client, batch.output_file_id)).map((line) => line.custom_id);
    expect(ids).toEqual(chatLines(40).map((line) => line.custom_id));
  });
});

describe('faults of whole files', () => {
  const text = 'Zoë';
  const written = async (as: 'crlf' | 'cr' | 'blank_lines' | 'bom' | 'latin1' | 'mojibake') => {
    const parts = await startForTest({
      faults: [{ effect: { kind: 'line.text', text } }, { effect: { kind: 'file.rewrite', as } }],
    });
    const batch = await runBatch(parts, chatLines(3));
    const response = await parts.client.files.content(batch.output_file_id!);
    const bytes = Buffer.from(await response.arrayBuffer());
    expect((await parts.client.files.retrieve(batch.output_file_id!)).bytes).toBe(bytes.length);
    return bytes;
  };

  test('end lines with CRLF, with CR, or with a blank line', async () => {
    expect((await written('crlf')).toString().match(/\r\n/g)?.length).toBe(3);
    const cr = (await written('cr')).toString();
    expect([cr.includes('\n'), cr.match(/\r/g)?.length]).toEqual([false, 3]);
    expect((await written('blank_lines')).toString().match(/\n\n/g)?.length).toBe(3);
  });

  test('put a byte order mark in front, write Latin-1, or UTF-8 that was taken for Latin-1', async () => {
    expect((await written('bom')).subarray(0, 3)).toEqual(Buffer.from([0xef, 0xbb, 0xbf]));
    const latin1 = await written('latin1');
    expect(() => new TextDecoder('utf-8', { fatal: true }).decode(latin1)).toThrow();
    expect(latin1.toString('latin1')).toContain(text);
    expect((await written('mojibake')).toString()).toContain('ZoÃ«');
  });

  test.each([
    ['not_found', 404, undefined],
    ['empty', 200, 0],
    ['empty_and_sized', 200, 1],
  ] as const)('are late for a while as %s', async (as, status, size) => {
    const { client, emulator } = await startForTest({
      faults: [{ effect: { kind: 'file.late', seconds: 60, as } }],
    });
    const batch = await createBatch(client, chatLines(2));
    emulator.clock.advance(78_000);
    const { output_file_id, status: state } = await client.batches.retrieve(batch.id);
    expect(state).toBe('completed');
    const content = await client.files.content(output_file_id!).catch((error) => error);
    expect(content.status).toBe(status);
    if (status === 200) {
      expect(await content.text()).toBe('');
      expect(Math.sign((await client.files.retrieve(output_file_id!)).bytes)).toBe(size);
    }
    emulator.clock.advance(60_000);
    expect((await linesOf(client, output_file_id)).length).toBe(2);
  });

  test('vanish before their time', async () => {
    const parts = await startForTest({ faults: [{ effect: { kind: 'file.vanish', file: 'error' } }] });
    const batch = await createBatch(parts.client, chatLines(2));
    parts.emulator.clock.advance(30_000);
    await parts.client.batches.cancel(batch.id);
    parts.emulator.clock.advance(60_000);
    const { error_file_id } = await parts.client.batches.retrieve(batch.id);
    await expect(parts.client.files.content(error_file_id!)).rejects.toMatchObject({ status: 404 });
    await expect(parts.client.files.retrieve(error_file_id!)).rejects.toMatchObject({ status: 404 });
  });
});

describe('faults of lines', () => {
  test('give a second line with another answer, or with an error', async () => {
    const parts = await startForTest({
      faults: [
        { match: { custom_id: '1$' }, effect: { kind: 'line.duplicate', as: 'other_answer' } },
        { match: { custom_id: '2$' }, effect: { kind: 'line.duplicate', as: 'error' } },
      ],
    });
    const batch = await runBatch(parts, chatLines(3));
    const output = await linesOf(parts.client, batch.output_file_id);
    const first = output.filter((line) => line.custom_id === 'request-1');
    expect(first.length).toBe(2);
    expect(first[0]!.response!.body).not.toEqual(first[1]!.response!.body);
    expect(first[0]!.id).not.toBe(first[1]!.id);
    const [echo] = await linesOf(parts.client, batch.error_file_id);
    expect(echo).toMatchObject({ custom_id: 'request-2', response: { status_code: 500 } });
    expect(output.map((line) => line.custom_id)).toContain('request-2');
    expect(batch.request_counts).toEqual({ total: 3, completed: 3, failed: 0 });
    expect((await parts.emulator.ledger.all()).length).toBe(3);
  });

  test('garble the text of an answer and leave the line valid', async () => {
    const parts = await startForTest({ faults: [{ effect: { kind: 'line.mojibake', text: 'é' } }] });
    const batch = await runBatch(parts, chatLines(1));
    expect(await contentOf(parts.client, batch.output_file_id)).toContain('Ã©');
  });

  test('refuse flex for lack of capacity, unbilled, and echo another tier than was asked for', async () => {
    const parts = await startForTest({
      faults: [
        { match: { tier: '^flex$' }, times: 1, effect: { kind: 'line.resource_unavailable' } },
        { match: { tier: '^flex$' }, effect: { kind: 'line.tier', tier: 'default' } },
      ],
    });
    const ask = (service_tier: 'flex' | 'auto') =>
      parts.client.chat.completions.create({
        ...(chatLine('a').body as never as object),
        model: 'gpt-6-luna',
        service_tier,
      } as never);
    await expect(ask('flex')).rejects.toMatchObject({ status: 429, code: 'resource_unavailable' });
    expect(await ask('flex')).toMatchObject({ service_tier: 'default' });
    const entries = (await parts.emulator.ledger.all()).map(({ status, tier }) => ({ status, tier }));
    expect(entries).toContainEqual({ status: 200, tier: 'default' });
    expect(entries).toContainEqual({ status: 429, tier: 'default' });
  });

  test('last from one moment to another', async () => {
    const parts = await startForTest({
      faults: [
        {
          match: { model: '^gpt-4o-mini$' },
          from_seconds: 3600,
          until_seconds: 90_000,
          effect: { kind: 'line.status', status: 404 },
        },
      ],
    });
    const failed = async () => (await runBatch(parts, chatLines(2))).request_counts?.failed;
    expect(await failed()).toBe(0);
    expect(await failed()).toBe(2);
    parts.emulator.clock.advance(86_400_000);
    expect(await failed()).toBe(0);
  });
});

describe('faults of batches', () => {
  test.each(['validating', 'in_progress', 'finalizing'] as const)(
    'hold one in %s and let it go',
    async (state) => {
      const { client, emulator } = await startForTest({
        faults: [{ effect: { kind: 'batch.stuck', state, seconds: 7200 } }],
      });
      const batch = await createBatch(client, chatLines(3));
      emulator.clock.advance(7_200_000);
      const held = await client.batches.retrieve(batch.id);
      expect(held.status).toBe(state);
      if (state === 'in_progress') expect(held.request_counts?.completed).toBe(0);
      emulator.clock.advance(7_200_000);
      const ended = await client.batches.retrieve(batch.id);
      expect(ended).toMatchObject({
        status: 'completed',
        request_counts: { total: 3, completed: 3, failed: 0 },
      });
      const tookSeconds = ended.completed_at! - ended.created_at;
      expect(tookSeconds).toBeGreaterThan(7200);
      expect(tookSeconds).toBeLessThan(7400);
    },
  );

  test('let one end after its expires_at, and one run past it', async () => {
    const { client, emulator } = await startForTest({
      faults: [
        { match: { batch: 1 }, effect: { kind: 'batch.overrun', seconds: 600 } },
        { match: { batch: 2 }, effect: { kind: 'batch.no_expiry' } },
        { match: { batch: 2 }, effect: { kind: 'batch.duration', seconds: 200_000 } },
      ],
    });
    const first = await createBatch(client, chatLines(2));
    const second = await createBatch(client, chatLines(2));
    emulator.clock.advance(86_700_000);
    expect((await client.batches.retrieve(first.id)).status).toBe('in_progress');
    emulator.clock.advance(300_000);
    const late = await client.batches.retrieve(first.id);
    expect(late).toMatchObject({ status: 'completed', completed_at: first.expires_at! + 600 });
    expect((await client.batches.retrieve(second.id)).status).toBe('in_progress');
    emulator.clock.advance(200_000_000);
    expect((await client.batches.retrieve(second.id)).status).toBe('completed');
  });

  test('refuse one for its tokens with the real message and the limit of the rule', async () => {
    const parts = await startForTest({
      faults: [{ effect: { kind: 'batch.token_limit_exceeded', limit: 2_000_000 } }],
    });
    const batch = await runBatch(parts, chatLines(1));
    expect(batch.status).toBe('failed');
    expect(batch.errors?.data?.[0]).toMatchObject({
      code: 'token_limit_exceeded',
      line: null,
      message: expect.stringContaining('for gpt-4o-mini in organization'),
    });
    expect(batch.errors?.data?.[0]?.message).toContain('Limit: 2,000,000 enqueued tokens.');
  });

  test('let counts fall while one is in progress, and be right at its end', async () => {
    const { client, emulator } = await startForTest({
      faults: [{ effect: { kind: 'batch.counts_backwards' } }],
    });
    const batch = await createBatch(client, chatLines(9));
    const seen: number[] = [];
    for (let i = 0; i < 6; i++) {
      emulator.clock.advance(20_000);
      seen.push((await client.batches.retrieve(batch.id)).request_counts!.completed);
    }
    expect(seen).toEqual(seen.toSorted((a, b) => b - a));
    expect(seen.at(-1)).toBeLessThan(seen[0]!);
    emulator.clock.advance(60_000);
    expect((await client.batches.retrieve(batch.id)).request_counts?.completed).toBe(9);
  });

  test('show one in the list as it was before its end', async () => {
    const { client, emulator } = await startForTest({
      faults: [{ effect: { kind: 'batch.stale_in_list', seconds: 120 } }],
    });
    const batch = await createBatch(client, chatLines(1));
    emulator.clock.advance(70_000);
    expect((await client.batches.retrieve(batch.id)).status).toBe('completed');
    expect((await client.batches.list()).data[0]).toMatchObject({
      status: 'finalizing',
      output_file_id: null,
    });
    emulator.clock.advance(120_000);
    expect((await client.batches.list()).data[0]?.status).toBe('completed');
  });

  test('let a cancel take its time, and one vanish after a while', async () => {
    const { client, emulator } = await startForTest({
      faults: [
        { match: { batch: 1 }, effect: { kind: 'batch.cancelling', seconds: 600 } },
        { match: { batch: 2 }, effect: { kind: 'batch.vanish', after_seconds: 500 } },
      ],
    });
    const [first, second] = [
      await createBatch(client, chatLines(1)),
      await createBatch(client, chatLines(1)),
    ];
    await client.batches.cancel(first.id);
    emulator.clock.advance(499_000);
    expect((await client.batches.retrieve(first.id)).status).toBe('cancelling');
    expect((await client.batches.retrieve(second.id)).status).toBe('completed');
    emulator.clock.advance(101_000);
    expect((await client.batches.retrieve(first.id)).status).toBe('cancelled');
    await expect(client.batches.retrieve(second.id)).rejects.toMatchObject({ status: 404 });
  });

  test('keep tokens enqueued for a while after the end', async () => {
    const parts = await startForTest({
      limits: { enqueuedTokens: 10 },
      faults: [{ match: { batch: 1 }, effect: { kind: 'batch.leak_tokens', seconds: 50_000 } }],
    });
    await runBatch(parts, chatLines(1));
    expect((await runBatch(parts, chatLines(1))).status).toBe('failed');
    parts.emulator.clock.advance(50_000_000);
    expect((await runBatch(parts, chatLines(1))).status).toBe('completed');
  });
});
