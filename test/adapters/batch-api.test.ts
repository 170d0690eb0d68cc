import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEmulator, virtualClock } from '../../local/openai-emulator/emulator.ts';
import { MemoryBatches } from '../../src/adapters/memory/batches.ts';
import { OpenAIBatches } from '../../src/adapters/openai-batches.ts';
import { createOpenAIClient } from '../../src/runtime/deps/openai.ts';
import { describeBatchApi } from './batch-api.suite.ts';

describeBatchApi('memory', async () => {
  const api = new MemoryBatches({ now: () => 1_790_000_000_123 });
  return {
    api,
    finish: async (id) =>
      api.end(id, {
        status: 'completed',
        output: '{"custom_id":"a"}\n',
        progress: { total: 1, completed: 1, failed: 0 },
      }),
    close: async () => {},
  };
});

describeBatchApi('the openai client and the emulator', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'batchdrop-openai-'));
  const emulator = await startEmulator({ dir, clock: virtualClock(), seed: 'batch-api' });
  return {
    api: new OpenAIBatches(createOpenAIClient(async () => 'sk-test', emulator.endpoint)),
    finish: async () => emulator.clock.advance(10 * 60_000),
    close: async () => {
      await emulator.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
});
