/** Webhooks on the synthesized stack: the emulator signs them, the function's URL takes them, and nobody polls. */
import { expect, test } from 'vitest';
import { receiptSchema } from '../../../src/contract/receipt.ts';
import { HOUR_MS } from '../../../src/contract/time.ts';
import { startEmulatedStack } from '../../support/emulated-stack.ts';
import { chatLine } from '../../support/pipeline.ts';
import { BATCH_ONLY } from '../../support/routes.ts';
import { SIGNING_SECRET, signedWebhook } from '../../support/webhooks.ts';

const IDS = ['a', 'b', 'c'];
const LINES = IDS.map((id) => chatLine(id)).join('\n');

/** A stack with webhooks, to which the emulator sends them. */
async function started({
  endpoint = 'function_url',
  isSet = true,
}: {
  endpoint?: 'function_url' | 'http_api';
  isSet?: boolean;
} = {}) {
  const parts = await startEmulatedStack({
    settings: {
      routes: [{ ...BATCH_ONLY, name: 'all', prefix: 'input/' }],
      webhooks: { apiKeys: ['default'], endpoint },
    },
    webhookSecrets: isSet ? { default: SIGNING_SECRET } : {},
    // What is looked at again later is not waited for.
    deliver: { idleDelaySeconds: 0 },
  });
  const url = parts.stack().outputs.WebhookUrl!;
  const { emulator } = parts;
  emulator.setFaults({ webhooks: [{ url, secret: SIGNING_SECRET, timestamps: 'clock' }] });
  const receiptOf = async (name: string) => {
    const text = await parts.read(`receipts/${name}.json`);
    return text === undefined ? undefined : receiptSchema.parse(JSON.parse(text));
  };
  return {
    ...parts,
    url,
    receiptOf,
    /** Until the receipt is there, or for a minute. */
    async awaitReceipt(name: string) {
      const giveUpAt = Date.now() + 60_000;
      while ((await receiptOf(name)) === undefined && Date.now() < giveUpAt) await parts.stack().idle();
      return receiptOf(name);
    },
    /** Sends a request to the URL; times are those of the stack's clock. */
    async post(request: ReturnType<typeof signedWebhook>, headers: Record<string, string> = {}) {
      const { method, body } = request;
      const response = await fetch(url, { method, headers: { ...request.headers, ...headers }, body });
      return { status: response.status, text: await response.text() };
    },
    seconds: (offset = 0) => Math.floor(parts.clock.now() / 1000) + offset,
  };
}

test('with webhooks, results arrive without a poll', { timeout: 240_000 }, async () => {
  const { clock, emulator, drop, stack, awaitReceipt } = await started();
  await drop('input/first.jsonl', LINES);
  for (const name of ['first', 'second']) {
    if (name === 'second') await drop('input/second.jsonl', LINES.replaceAll('question', 'another question'));
    clock.advance(2 * HOUR_MS);
    await emulator.deliverWebhooks();
    const receipt = await awaitReceipt(name);
    expect(receipt).toMatchObject({
      result: 'succeeded',
      counts: { succeeded: IDS.length },
      possiblyBilledTwice: {},
    });
  }
  const calls = emulator.calls();
  expect(calls['GET /v1/batches'] ?? 0).toBe(0);
  expect(calls['GET /v1/batches/*']).toBe(2);
  expect(stack().stats.poll!.invocations).toBe(0);
  expect(await emulator.ledger.all()).toHaveLength(2 * IDS.length);
  expect(stack().calls.denied).toEqual([]);
});

test('with every webhook lost they arrive all the same, by the poll', { timeout: 240_000 }, async () => {
  const { clock, emulator, drop, poll, receiptOf, stack } = await started();
  emulator.setFaults({ rules: [{ effect: { kind: 'webhook.lose' } }] });
  await drop('input/a.jsonl', LINES);
  clock.advance(2 * HOUR_MS);
  await emulator.deliverWebhooks();
  await stack().idle();
  expect(await receiptOf('a')).toBeUndefined();
  expect(stack().stats.webhook!.invocations).toBe(0);
  await poll(0);
  expect(await receiptOf('a')).toMatchObject({ result: 'succeeded', possiblyBilledTwice: {} });
  expect(await emulator.ledger.all()).toHaveLength(IDS.length);
});

test('doubled, late and forged webhooks change no result', { timeout: 240_000 }, async () => {
  const { clock, emulator, drop, receiptOf, awaitReceipt, stack } = await started();
  emulator.setFaults({
    rules: [
      { effect: { kind: 'webhook.duplicate', after_seconds: 0 } },
      { effect: { kind: 'webhook.duplicate', after_seconds: 3_600 } },
      { effect: { kind: 'webhook.foreign', id: 'batch_of_somebody_else' } },
    ] as never,
  });
  await drop('input/a.jsonl', LINES);
  clock.advance(2 * HOUR_MS);
  await emulator.deliverWebhooks();
  const receipt = await awaitReceipt('a');
  clock.advance(2 * HOUR_MS);
  await emulator.deliverWebhooks();
  await stack().idle();
  expect(await receiptOf('a')).toEqual(receipt);
  expect(receipt).toMatchObject({ result: 'succeeded', possiblyBilledTwice: {} });
  expect(await emulator.ledger.all()).toHaveLength(IDS.length);
});

test('attacks on the URL start no other function', { timeout: 240_000 }, async () => {
  const { post, seconds, stack } = await started();
  const fresh = () => signedWebhook({ timestamp: seconds() });
  const changed = { ...fresh(), body: fresh().body.replace('batch_1', 'batch_2') };
  const attacks: [string, ReturnType<typeof signedWebhook>, number][] = [
    ['forged', signedWebhook({ timestamp: seconds(), secret: 'whsec_Zm9yZ2Vk' }), 401],
    ['changed', changed, 401],
    ['old', signedWebhook({ timestamp: seconds(-302) }), 401],
    ['too new', signedWebhook({ timestamp: seconds(302) }), 401],
    ['unsigned', { ...fresh(), headers: {} }, 401],
    ['larger than an event', signedWebhook({ timestamp: seconds(), body: `"${'x'.repeat(70_000)}"` }), 413],
    ['larger than Lambda takes', signedWebhook({ timestamp: seconds(), body: 'x'.repeat(6_300_000) }), 413],
    ['no POST', { ...fresh(), method: 'PUT' }, 405],
  ];
  for (const [what, request, status] of attacks) {
    const answer = await post(request);
    expect(answer.status, what).toBe(status);
    // Only Lambda itself says something.
    if (what !== 'larger than Lambda takes') expect(answer.text, what).toBe('');
  }
  await stack().idle();
  expect(stack().stats.webhook!.invocations).toBe(attacks.length - 1);
  expect(stack().stats.observe!.invocations).toBe(0);
});

test('a replay within five minutes, and a body as base64, are looked at and change nothing', {
  timeout: 240_000,
}, async () => {
  const { post, seconds, stack, emulator } = await started({ endpoint: 'http_api' });
  const webhook = signedWebhook({ timestamp: seconds() });
  expect((await post(webhook)).status).toBe(202);
  expect((await post(webhook)).status).toBe(202);
  expect((await post(webhook, { 'content-type': 'application/octet-stream' })).status).toBe(202);
  await stack().idle();
  // OpenAI does not know it, or not yet: each delivery is looked at again, later.
  const { ready, delayed, inFlight } = stack().queueDepth('observe');
  expect(ready + delayed + inFlight).toBe(3);
  const looks = emulator.calls()['GET /v1/batches/*'];
  expect(looks).toBeGreaterThanOrEqual(3);
  expect(looks).toBeLessThanOrEqual(18);
  expect(stack().stats.collect!.invocations).toBe(0);
  expect(stack().queueDepth('observe-dead-letters').ready).toBe(0);
});

test('while no signing secret is set everything is answered 401, and one that is set is used', {
  timeout: 240_000,
}, async () => {
  const { stack, post, seconds, setKey } = await started({ isSet: false });
  expect((await post(signedWebhook({ timestamp: seconds() }))).status).toBe(401);
  await setKey('webhook-secret-default', SIGNING_SECRET);
  // As a process of the function that has read no secret yet; others read it again after 30 seconds.
  await stack().killFunctions('webhook');
  expect((await post(signedWebhook({ timestamp: seconds() }))).status).toBe(202);
});
