import { webhookEnv } from '../../src/contract/env.ts';
import { receiveWebhook } from '../../src/core/steps/webhook/webhook.ts';
import { createWebhookDeps } from '../../src/runtime/deps/webhook.ts';
import { parseEnv } from '../../src/runtime/env.ts';
import { createUrlHandler } from '../../src/runtime/url-handler.ts';

const deps = createWebhookDeps(parseEnv(webhookEnv, process.env));

/** Function URL, or HTTP API: a request that anybody may send. */
export const handler = createUrlHandler({
  run: (request, telemetry) => receiveWebhook({ ...deps, telemetry }, request),
});
