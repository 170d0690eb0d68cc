import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEmulator, virtualClock } from '../../../local/openai-emulator/emulator.ts';
import { OpenAIBatches } from '../../../src/providers/openai/batch-api.ts';
import { createOpenAIClient } from '../../../src/runtime/deps/openai.ts';
import { describeBatchApi } from '../../support/contracts/batch-api.suite.ts';
import { MemoryBatches } from '../../support/memory/batches.ts';

describeBatchApi('memory', async () => {
  const api = new MemoryBatches({ now: () => 1_790_000_000_123 });
  return {
    api,
    keyed: api,
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
  const apiKeys = { 'sk-test': 'proj_own', 'sk-of-team-a': 'proj_a', 'sk-of-team-b': 'proj_b' };
  const emulator = await startEmulator({ dir, clock: virtualClock(), seed: 'batch-api', apiKeys });
  const apiWith = (key: string) => new OpenAIBatches(createOpenAIClient(async () => key, emulator.endpoint));
  return {
    api: apiWith('sk-test'),
    keyed: { withKey: (name) => apiWith(`sk-of-${name}`) },
    finish: async () => emulator.clock.advance(10 * 60_000),
    close: async () => {
      await emulator.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
});
