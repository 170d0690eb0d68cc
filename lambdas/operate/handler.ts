import { operateEnv } from '../../src/contract/env.ts';
import { operate } from '../../src/core/steps/operate/operate.ts';
import { createOperateDeps } from '../../src/runtime/deps/operate.ts';
import { parseEnv } from '../../src/runtime/env.ts';
import { createSignedUrlHandler } from '../../src/runtime/signed-url-handler.ts';

const deps = createOperateDeps(parseEnv(operateEnv, process.env));

/** Function URL with the auth type AWS_IAM. */
export const handler = createSignedUrlHandler({
  run: (request, invocation) => operate({ ...deps, ...invocation }, request),
});
