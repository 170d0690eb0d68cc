import { describe, expect, it } from 'vitest';
import { defaultSettings } from '../../../../src/contract/settings.ts';
import { listArrivals, readArrival, writeArrival } from '../../../../src/core/files/arrivals.ts';
import { MemoryObjects } from '../../../support/memory/objects.ts';

const BATCH = { jobId: 'job', batchId: '1-0' };

function depsOf() {
  const ambient = { now: () => 1_790_000_000_000, nonce: () => '0' };
  return { settings: defaultSettings(), objects: new MemoryObjects({ bucket: 'b' }, ambient) };
}

describe('arrivals', () => {
  it('are listed by the place of their request, and read', async () => {
    const deps = depsOf();
    expect(await listArrivals(deps, BATCH)).toEqual([]);
    await writeArrival(deps, BATCH, 12, { v: 1, id: 'resp_12', requestId: 'req_1', body: '{"a":1}' });
    await writeArrival(deps, BATCH, 3, { v: 1, id: 'resp_3', body: '{}' });
    await writeArrival(deps, { ...BATCH, batchId: '1-0.1' }, 4, { v: 1, id: 'resp_4', body: '{}' });
    expect(await listArrivals(deps, BATCH)).toEqual([3, 12]);
    expect(await readArrival(deps, BATCH, 12)).toEqual({
      v: 1,
      id: 'resp_12',
      requestId: 'req_1',
      body: '{"a":1}',
    });
    expect(await readArrival(deps, BATCH, 4)).toBeUndefined();
  });

  it('count once for each request: the first one stays', async () => {
    const deps = depsOf();
    await writeArrival(deps, BATCH, 0, { v: 1, id: 'resp_a', body: '{}' });
    await writeArrival(deps, BATCH, 0, { v: 1, id: 'resp_b', body: '{}' });
    expect((await readArrival(deps, BATCH, 0))?.id).toBe('resp_a');
  });
});
