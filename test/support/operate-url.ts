/** The URL of the function of operators, as a deployed stack has it, over stores of a test. */
import type { Context } from 'aws-lambda';
import { startFunctionUrls } from '../../local/services/lambda/function-urls.ts';
import type { Invocation } from '../../local/services/lambda/sandbox.ts';
import type { OperateDeps } from '../../src/core/steps/operate/deps.ts';
import { operate } from '../../src/core/steps/operate/operate.ts';
import { createSignedUrlHandler, type SignedUrlEvent } from '../../src/runtime/signed-url-handler.ts';
import { noTelemetry } from './telemetry.ts';

/** Who calls, by the credentials `AKIDTEST` and `secret`. */
export const CALLER = 'arn:aws:iam::123456789012:user/test';

/** Starts it. @param deps what the test needs of them. */
export async function startOperateUrl(
  deps: Partial<OperateDeps>,
): Promise<{ url: string; close(): Promise<void> }> {
  const telemetry = { ...noTelemetry, with: () => telemetry, forInvocation: () => telemetry };
  const handler = createSignedUrlHandler({
    telemetry,
    run: (request, invocation) => operate({ ...(deps as OperateDeps), ...invocation }, request),
  });
  const context = { getRemainingTimeInMillis: () => 60_000 } as Context;
  const invoke = async (event: unknown): Promise<Invocation> => {
    const payload = await handler(event as SignedUrlEvent, context);
    return { requestId: 'r', durationMs: 1, ok: true, payload } as Invocation;
  };
  const urls = await startFunctionUrls({
    targets: Promise.resolve(new Map([['operate', { signedFor: 'operate', function: { invoke } }]])),
    access: {
      secretOf: (id) => (id === 'AKIDTEST' ? 'secret' : undefined),
      arnOf: () => CALLER,
      authorize: () => undefined,
      now: Date.now,
    },
  });
  return { url: urls.urlOf('operate'), close: urls.close };
}
