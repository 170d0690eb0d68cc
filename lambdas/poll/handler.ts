import { pollEnv } from '../../src/contract/env.ts';
import { poll } from '../../src/core/steps/poll/poll.ts';
import { createPollDeps } from '../../src/runtime/deps/poll.ts';
import { parseEnv } from '../../src/runtime/env.ts';
import { createScheduledHandler } from '../../src/runtime/scheduled-handler.ts';

const deps = createPollDeps(parseEnv(pollEnv, process.env));

/** EventBridge schedule. */
export const handler = createScheduledHandler({ run: (invocation) => poll({ ...deps, ...invocation }) });
