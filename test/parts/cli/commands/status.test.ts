/** What a person sees of one job, live and ended: by id, by key, after its object is gone. */
import { DeleteObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { expect, test } from 'vitest';
import { receipt as printReceipt } from '../../../../cli/commands/receipt.ts';
import { status } from '../../../../cli/commands/status.ts';
import { CannotRunError } from '../../../../cli/view/exit.ts';
import type { Receipt } from '../../../../src/contract/receipt.ts';
import { jobEnd } from '../../../support/contracts/job-index.suite.ts';
import { PRICES_STATED, receiptOf } from '../../../support/receipts.ts';
import { batchOf, jobOf } from '../../../support/records.ts';
import { DROPS, printed, stoppedState } from '../../../support/stopped-state.ts';

const [LIVE, DONE, OLD] = ['a', 'b', 'c'].map((digit) => digit.repeat(32)) as [string, string, string];
const KEY = 'input/films.jsonl';

async function films() {
  const input = (jobId: string, lastModified: number) => ({
    input: { ...jobOf(jobId).input, bucket: DROPS, key: KEY, lastModified },
  });
  const state = await stoppedState(async ({ jobs, index, s3 }) => {
    await jobs.createJob(jobOf(LIVE, { ...input(LIVE, 3_000), state: 'running' }));
    await jobs.createBatch(batchOf(LIVE, 0, { hold: { at: 0, reason: 'server_error' } }));
    const ended = {
      state: 'completed',
      result: 'succeeded',
      receiptKey: 'receipts/films.jsonl.json',
    } as const;
    await jobs.createJob(jobOf(DONE, { ...input(DONE, 2_000), ...ended }));
    await jobs.createJob(jobOf(OLD, { ...input(OLD, 1_000), ...ended }));
    for (const [jobId, droppedAt] of [
      [DONE, 2_000],
      [OLD, 1_000],
    ] as const)
      await index.recordEnd(jobEnd(jobId, { bucket: DROPS, key: KEY, droppedAt }));
    const Body = JSON.stringify(receiptOf({ jobId: DONE, input: { ...RECEIPT_INPUT } }));
    const Key = 'receipts/films.jsonl.json';
    await s3.send(new PutObjectCommand({ Bucket: DROPS, Key, Body })).catch(() => {});
    await s3.send(new DeleteObjectCommand({ Bucket: DROPS, Key: KEY })).catch(() => {});
  });
  return { options: { local: true, state }, lines: printed() };
}
const RECEIPT_INPUT: Receipt['input'] = { bucket: DROPS, key: KEY, etag: '"e"', bytes: 10 };

test('of a key whose object is gone, the job that was dropped last is shown, with what it waits for and the others', async () => {
  const { options, lines } = await films();
  expect(await status(KEY, options)).toBe(0);
  const text = lines.join('\n');
  expect(text.split('\n').slice(0, 4).join('\n')).toMatch(
    new RegExp(`^\\S.*\\n${KEY}\\n  job       ${LIVE}\\n  route `),
  );
  expect(text).toContain('waits     held for a person: OpenAI refused it with code server_error');
  expect(text).toContain(`$ batchdrop explain ${LIVE} --local --state ${options.state}`);
  expect(text).toContain('cost      $0.00 so far');
  expect(text).toContain(`other     ${DONE}  succeeded, dropped 1970-01-01T00:00:02Z`);
});

test('of an ended job, the receipt is shown as well; --json has states, cost and the other jobs of its key', async () => {
  const { options, lines } = await films();
  expect(await status(DONE, options)).toBe(0);
  expect(lines.join('\n')).toContain(`${KEY}: succeeded`);
  lines.length = 0;
  expect(await status(DONE, { ...options, json: true })).toBe(0);
  expect(JSON.parse(lines.join(''))).toMatchObject({
    v: 1,
    key: KEY,
    job: { jobId: DONE, phase: 'done', hasEnded: true, states: {} },
    usd: '0',
    others: [
      { jobId: LIVE, state: 'running' },
      { jobId: OLD, state: 'succeeded' },
    ],
  });
});

test('what operators did is shown with who, when and why, and a retry says what it is of', async () => {
  const by = 'arn:aws:iam::123456789012:user/ada';
  const retryKey = `input/films.retry-2-of-${DONE}.jsonl`;
  const state = await stoppedState(async ({ jobs }) => {
    const acts = [
      { action: 'resume', by, at: 1_000 },
      { action: 'retry', by, at: 2_000, reason: 'the key was wrong' },
    ] as const;
    const retries = [{ number: 2, key: retryKey, at: 2_000 }];
    await jobs.createJob(jobOf(DONE, { state: 'completed', acts: [...acts], retries }));
    await jobs.createJob(jobOf(LIVE, { input: { ...jobOf(LIVE).input, key: retryKey }, state: 'running' }));
  });
  const [options, lines] = [{ local: true, state }, printed()];
  await status(DONE, options);
  const text = lines.join('\n').replace(/\n {12}/g, ' ');
  expect(text).toMatch(new RegExp(`^  act       resume by ${by}, 1970-01-01T00:00:01Z \\([^)]*\\)$`, 'm'));
  expect(text).toMatch(/^ {2}act {7}retry by .*, 1970-01-01T00:00:02Z \(.*\): the key was wrong$/m);
  expect(text).toContain(`  retry     2, dropped as ${retryKey}`);
  lines.length = 0;
  await status(LIVE, options);
  expect(lines.join('\n').replace(/\n {12}/g, ' ')).toContain(
    `  retry of  ${DONE}, retry 2 of what did not succeed of it`,
  );
  lines.length = 0;
  await status(LIVE, { ...options, json: true });
  expect(JSON.parse(lines.join(''))).toMatchObject({
    job: { retryOf: { jobId: DONE, number: 2 } },
    acts: [],
    retries: [],
  });
});

test('a receipt is printed for a person and as it is; the exit status is its', async () => {
  const { options, lines } = await films();
  expect(await printReceipt(DONE, options)).toBe(0);
  expect(lines.join('\n')).toMatch(new RegExp(`^${KEY}: succeeded`));
  lines.length = 0;
  expect(await printReceipt(DONE, { ...options, json: true })).toBe(0);
  expect(JSON.parse(lines.join('\n'))).toMatchObject({ jobId: DONE, prices: PRICES_STATED });
});

test('a receipt that is not there yet, or is a newer job’s by now, is refused with why', async () => {
  const { options } = await films();
  await expect(printReceipt(LIVE, options)).rejects.toThrow(
    new CannotRunError(
      `${KEY} has no receipt yet: job ${LIVE} has not ended; \`batchdrop status ${LIVE}\` says how far it is`,
    ),
  );
  await expect(printReceipt(OLD, options)).rejects.toThrow(
    /is the receipt of job b+, and no longer that of job c+/,
  );
  await expect(status('input/none.jsonl', options)).rejects.toThrow(
    /^there is no job input\/none\.jsonl in this/,
  );
});
